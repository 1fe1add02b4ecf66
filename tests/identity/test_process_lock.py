"""The lock that a forked child does not find taken by a thread that it does not have."""

from __future__ import annotations

import os
import signal

import pytest
from systems import needs_fork

from agentid.identity import Authority
from agentid.identity.process_lock import ProcessLock


def test_one_thread_at_a_time_has_it():
    lock = ProcessLock()
    with lock:
        assert not lock._lock.acquire(blocking=False)

    assert lock._lock.acquire(blocking=False)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_its_own():
    lock = ProcessLock()
    with lock:
        child = os.fork()
        if child == 0:
            # Ends a child that waits for ever: whoever handles the signal here must not go on in the child.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(10)
            with lock:
                os._exit(0)
        _, status = os.waitpid(child, 0)

    assert 0 == status


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_verifies_agents_whatever_the_parent_was_at():
    """Each lock of a trust anchor may be held by a thread that the child does not have."""
    authority = Authority.create("acme.example")
    bot, other, trust = authority.issue("bot"), authority.issue("other"), authority.trust
    trust.verify_agent(bot)
    verifier = trust._verifier
    caches = (verifier._credentials, verifier._grants)
    with trust._lock, trust._possession._lock, trust._watch._lock, caches[0]._lock, caches[1]._lock:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(10)
            trust.verify_agent(other)
            trust.verify_agent(bot)
            os._exit(0)
        _, status = os.waitpid(child, 0)

    assert 0 == status

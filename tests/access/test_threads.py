"""Threads and tasks act as whoever started them, where that is asked for; elsewhere nothing changes."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentid.access.threads import THREADS
from agentid.errors import AccessDeniedError
from agentid.guard import current_session
from agentid.guard.session import NobodyActing


@pytest.fixture
def following(installed):
    installed.wrap(*THREADS)
    return installed


def seen_in_thread():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(current_session()))
    thread.start()
    thread.join()
    return seen[0]


def test_a_thread_acts_as_whoever_started_it(world, following):
    with world.acting() as session:
        assert session is seen_in_thread()
        with NobodyActing():
            assert seen_in_thread() is None
    assert seen_in_thread() is None


def test_nothing_follows_unless_it_is_asked_for_or_once_it_is_removed(world, installed):
    with world.acting() as session:
        assert seen_in_thread() is None
        installed.wrap(*THREADS)
        assert session is seen_in_thread()
        installed.remove()
        assert seen_in_thread() is None


def test_a_task_acts_as_whoever_submitted_it_and_not_as_whoever_started_the_worker(world, following):
    with ThreadPoolExecutor(1) as executor:
        with world.acting() as first:
            assert first is executor.submit(current_session).result()
        with world.acting() as second:
            assert second is executor.submit(current_session).result()
        with NobodyActing():
            assert executor.submit(current_session).result() is None


def test_tasks_keep_the_variables_of_their_worker(world, following):
    """As without us: an initializer sets what tasks find."""
    variable = contextvars.ContextVar("variable")
    with world.acting(), ThreadPoolExecutor(1, initializer=variable.set, initargs=(7,)) as executor:
        assert 7 == executor.submit(variable.get).result()


def test_whoever_was_told_nothing_is_the_agent_where_all_of_the_process_is_its_own(world, installed, http):
    nothing = contextvars.Context()
    with world.acting() as session:
        installed.act_everywhere(session)
        with pytest.raises(AccessDeniedError):
            nothing.run(urllib.request.urlopen, http.url)
        with NobodyActing():
            urllib.request.urlopen(http.url).close()
        assert 1 == len(http.requests)
        assert 1 == len(world.records)

        installed.act_everywhere(None)
        contextvars.Context().run(urllib.request.urlopen, http.url).close()
        assert 2 == len(http.requests)


def test_no_frame_of_ours_stands_in_the_traceback_of_a_thread_or_a_task():
    program = """
import threading, traceback
from concurrent.futures import ThreadPoolExecutor
import agentid.access
from agentid.access.threads import THREADS
from agentid.guard.session import acting

agentid.access.install().wrap(*THREADS)
acting.set(None)
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
with ThreadPoolExecutor(1) as executor:
    error = executor.submit(lambda: 1 / 0).exception()
print("".join(traceback.format_exception(error)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert 2 == (done.stdout + done.stderr).count("ZeroDivisionError")
    assert "agentid" not in done.stdout + done.stderr

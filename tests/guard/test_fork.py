"""A process that was forked off while an agent was acting: there, nobody is acting."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from command_line import environment
from systems import needs_fork

pytestmark = needs_fork

START = textwrap.dedent(
    """
    import multiprocessing, os, sys
    from concurrent.futures import ProcessPoolExecutor
    from agentid import Authority, Guard, requires
    from agentid.errors import Error
    from agentid.guard.session import propagate

    authority = Authority.create("acme.example")
    admin = authority.issue("admin", allow=["read:**", "delete:**"])
    bot = authority.issue("bot", allow=["read:x/*"])
    guard = Guard(authority.trust)

    @requires("delete:crm/{c}")
    def remove(c):
        return "BODY RAN"

    @requires("read:crm/{c}")
    def stream(c):
        yield 1
        yield 2

    def tried(work, *args):
        try:
            return work(*args)
        except Error as refused:
            return refused.code

    def in_child(work):
        ours, theirs = os.pipe()
        if not os.fork():
            os.write(theirs, str(tried(work)).encode())
            os._exit(0)
        os.close(theirs)
        answer = os.read(ours, 1000).decode()
        os.wait()
        return answer
    """
)


def run(script):
    """What a script prints that begins as above, each warning an error but that of a fork with threads."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", START + textwrap.dedent(script)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.split()


def test_a_pool_of_processes_never_acts_as_whoever_used_it_first():
    printed = run(
        """
        pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
        with guard.acting_as(admin):
            print(pool.submit(tried, remove, "1").result())
            print(remove("1").replace(" ", "-"))
        print(pool.submit(tried, remove, "1").result())
        authority.revoke(admin)
        with guard.acting_as(bot):
            print(pool.submit(tried, remove, "1").result())
        pool.shutdown()
        """
    )
    assert ["agent.none", "BODY-RAN", "agent.none", "agent.none"] == printed


def test_nothing_that_a_child_inherits_acts_in_it():
    """Not the current session, not what was bound to it, not a stream that has begun."""
    printed = run(
        """
        with guard.acting_as(admin) as session:
            items = stream("1")
            next(items)
            remove("1")  # so that everything is remembered
            for work in (lambda: remove("1"), lambda: session.bind(remove)("1"), lambda: propagate(remove)("1"),
                         lambda: next(items), lambda: guard.access("read", "crm/1").__enter__()):
                print(in_child(work))
            print(next(items))
        """
    )
    assert ["agent.none"] * 5 + ["2"] == printed


def test_a_child_opens_sessions_of_its_own():
    printed = run(
        """
        def work():
            with guard.acting_as(admin):
                return remove("1").replace(" ", "-")

        with guard.acting_as(bot):
            print(in_child(work))
        authority.revoke(admin)
        print(in_child(work))
        """
    )
    assert ["BODY-RAN", "credential.revoked"] == printed

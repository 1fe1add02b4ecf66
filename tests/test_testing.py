"""`agentid.testing` and its pytest plugin: everything real and in memory, and nothing for those who do not use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from agentid import Approval, requires
from agentid.errors import AccessDeniedError, ApprovalRefusedError, CredentialExpiredError, NoActingAgentError
from agentid.guard import current_session
from agentid.testing import MemoryAudit, SteppingClock, acting_as, assert_denied, capture_spans


@requires("read:crm/customers/{customer_id}")
def get_customer(customer_id):
    return customer_id


@requires("delete:crm/customers/{customer_id}")
def delete_customer(customer_id):
    raise AssertionError("a denied tool ran")


def test_the_example_of_the_module_works():
    with acting_as(allow=["read:crm/customers/*"]) as acting:
        get_customer("c-42")
        with assert_denied(reason="scope_missing"):
            delete_customer("c-42")

    assert ["allow", "deny"] == [record.effect for record in acting.records]
    assert 2 == len(acting.spans)


def test_the_authority_the_agent_and_the_decisions_are_real():
    """A test that passes here says something about the program: there is no switch that turns checks off."""
    with acting_as("tester", allow=["read:crm/customers/c-1"]) as acting:
        assert "spiffe://test.example/agent/tester" == str(acting.agent.id)
        assert acting.session is current_session()
        assert acting.authority.trust.verify_agent(acting.agent).credential.name == "tester"
        with assert_denied():
            get_customer("c-2")
        acting.authority.revoke(acting.agent)
        with pytest.raises(Exception, match="revoked"):
            get_customer("c-1")

    assert current_session() is None
    with pytest.raises(NoActingAgentError):
        get_customer("c-1")


def test_nothing_is_allowed_by_default():
    with acting_as(), assert_denied(reason="scope_missing"):
        get_customer("c-1")


def test_the_clock_stands_still_until_it_is_moved():
    with acting_as(allow=["read:crm/**"], ttl=timedelta(minutes=1)) as acting:
        acting.clock.step(timedelta(seconds=59))
        get_customer("c-1")
        acting.clock.step(1.0)
        with pytest.raises(CredentialExpiredError):
            get_customer("c-1")

    clock = SteppingClock(10)
    assert (10, 10) == (clock(), clock())
    clock.step(0.5)
    assert 10.5 == clock()


def test_approvers_audit_and_task_are_passed_on():
    audit = MemoryAudit()
    asked = []

    def approver(request):
        asked.append(request.task)
        return Approval(approved=False)

    with (
        acting_as(ask=["read:crm/**"], approver=approver, audit=audit, task="Answer Ada"),
        assert_denied(reason="approval_missing", error=ApprovalRefusedError) as denial,
    ):
        get_customer("c-1")

    assert isinstance(denial.error, ApprovalRefusedError)
    assert ["Answer Ada"] == asked
    assert [("decision", "deny")] == [(phase, record.effect) for phase, record in audit.lines]


def test_what_was_written_to_memory_stays_as_it_was_written():
    """A record changes while a call goes on; each line is how it was then."""
    audit = MemoryAudit()
    with acting_as(allow=["read:crm/**"], audit=audit):
        get_customer("c-1")

    assert [("decision", "pending"), ("outcome", "success")] == [(phase, r.status) for phase, r in audit.lines]


def test_a_broken_memory_refuses_to_write():
    audit = MemoryAudit()
    audit.broken = OSError("full")
    with acting_as(allow=["read:crm/**"], audit=audit), pytest.raises(Exception, match="could not be written"):
        get_customer("c-1")

    assert [] == audit.lines


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (lambda: get_customer("c-1"), "nothing was denied"),
        (lambda: None, "nothing was denied"),
        (lambda: delete_customer("c-1"), "denied for 'scope_missing' rather than 'expired'"),
    ],
)
def test_assert_denied_fails_when_nothing_or_something_else_was_denied(work, says):
    with acting_as(allow=["read:crm/**"]), pytest.raises(AssertionError, match=says), assert_denied(reason="expired"):
        work()


def test_assert_denied_lets_other_exceptions_through():
    with pytest.raises(ZeroDivisionError), assert_denied():
        raise ZeroDivisionError
    with pytest.raises(NoActingAgentError), assert_denied():
        get_customer("c-1")
    with assert_denied(error=NoActingAgentError):
        get_customer("c-1")


def test_assert_denied_gives_the_error():
    with acting_as(), assert_denied() as denial:
        assert denial.error is None
        get_customer("c-1")

    assert isinstance(denial.error, AccessDeniedError)
    assert "not permitted: read crm/customers/c-1" == denial.error.for_model


def test_spans_can_be_captured_alone():
    with capture_spans() as captured:
        captured.provider.get_tracer("x").start_span("one", attributes={"a": 1}).end()

    assert ["one"] == [span.name for span in captured.spans]
    assert [{"a": 1}] == captured.attributes()


# --- the plugin ------------------------------------------------------------------------------------------------------

FIXTURES = """
from agentid import requires
from agentid.testing import assert_denied

@requires("read:crm/customers/{customer_id}")
def get_customer(customer_id):
    return customer_id

def test_with_fixtures(agentid_authority, agentid_guard, agentid_records, agentid_spans):
    bot = agentid_authority.issue("bot", allow=["read:crm/customers/c-1"])
    assert agentid_authority.trust is agentid_guard.trust
    with agentid_guard.acting_as(bot):
        get_customer("c-1")
        with assert_denied(reason="scope_missing"):
            get_customer("c-2")
    assert ["success", "denied"] == [record.status for record in agentid_records]
    assert 2 == len(agentid_spans.spans)

def test_each_test_starts_afresh(agentid_records, agentid_spans):
    assert ([], ()) == (agentid_records, agentid_spans.spans)
"""

UNUSED = """
import json, sys

def test_nothing_is_loaded_for_a_test_that_uses_nothing():
    loaded = [name for name in sys.modules if name.split(".")[0] in {"agentid", "opentelemetry", "jwt", "cryptography"}]
    print("LOADED" + json.dumps(sorted(loaded)))
"""


def pytest_run(tmp_path, code, *options):
    """Run pytest in a process of its own, where the plugin is loaded by its name, as it is when installed."""
    (tmp_path / "test_it.py").write_text(code)
    entries = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:asyncio",
            *options,
            str(tmp_path),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in entries)},
        capture_output=True,
        text=True,
        check=False,
    )


def plugin_option():
    """Load it by hand where the package is not installed."""
    from importlib.metadata import entry_points

    return (
        [] if [e for e in entry_points(group="pytest11") if e.name == "agentid"] else ["-p", "agentid._pytest_plugin"]
    )


def test_the_fixtures_are_there_without_an_import(tmp_path):
    done = pytest_run(tmp_path, FIXTURES, *plugin_option())

    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_test_run_that_does_not_use_it_loads_next_to_nothing(tmp_path):
    """The plugin is imported by each test run on the machine, so it may cost nothing."""
    done = pytest_run(tmp_path, UNUSED, "-s", *plugin_option())

    assert "1 passed" in done.stdout, done.stdout + done.stderr
    loaded = set(json.loads(done.stdout.partition("LOADED")[2].splitlines()[0]))
    assert {"agentid", "agentid._pytest_plugin", "agentid._version"} == loaded


def test_importing_the_helpers_loads_no_sdk_and_no_keys():
    code = (
        "import sys, agentid.testing; "
        "print(sorted(n for n in sys.modules if n.split('.')[0] in {'jwt', 'cryptography', 'pytest'} "
        "or n.startswith('opentelemetry.sdk')))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()

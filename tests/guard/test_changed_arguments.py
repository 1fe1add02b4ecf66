"""What was decided is what the body gets: arguments that change between the two are refused."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from agentid import requires
from agentid.errors import AccessDeniedError, CredentialRevokedError
from agentid.guard import ObserveOnlyGuard

AGENT = {"allow": ["write:mail/ada"], "ask": ["write:post/ada"]}


class ChangingLog:
    """An audit log during whose first write somebody changes an argument, as another thread may."""

    def __init__(self, change):
        self._change = change
        self.lines = []

    def write(self, phase, record):
        self.lines.append((phase, record.effect, record.status))
        if phase == "decision":
            self._change()


def open_session(world, change, *, kind=None, **options):
    log = ChangingLog(change)
    guard = world.make_guard(*([kind] if kind else []), audit=log, observers=[], **options)
    return guard.acting_as(world.issue("mailer", **AGENT)), log


@pytest.mark.parametrize("place", ["mail", "post"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_list_that_grows_while_the_decision_is_written_stops_the_call(world, place, is_async):
    to, ran = ["ada"], []

    @requires(f"write:{place}/{{to}}")
    def send(to):
        ran.append(to)

    @requires(f"write:{place}/{{to}}")
    async def send_async(to):
        ran.append(to)

    session, log = open_session(world, lambda: to.append("eve"), approver=lambda request: True)
    with session, pytest.raises(AccessDeniedError, match="changed"):
        asyncio.run(send_async(to)) if is_async else send(to)

    assert [] == ran
    assert [("decision", "allow", "pending"), ("outcome", "allow", "stopped")] == log.lines


def test_an_attribute_that_changes_while_the_decision_is_written_stops_the_call(world):
    order, ran = SimpleNamespace(customer="ada"), []

    @requires("write:mail/{order.customer}")
    def send(order):
        ran.append(order.customer)

    session, _ = open_session(world, lambda: setattr(order, "customer", "eve"))
    with session, pytest.raises(AccessDeniedError):
        send(order)

    assert [] == ran


def test_an_argument_that_does_not_change_is_no_reason_to_stop(world):
    ran = []

    @requires("write:mail/{to}")
    def send(to, more):
        ran.append(to)

    session, _ = open_session(world, lambda: None)
    with session:
        send(["ada"], {"a": [1]})
        send("ada", "text")

    assert [["ada"], "ada"] == ran


def test_an_agent_that_is_revoked_while_the_decision_is_written_is_stopped(world):
    ran = []

    @requires("write:mail/{to}")
    def send(to):
        ran.append(to)

    agent = world.issue("mailer", **AGENT)
    log = ChangingLog(lambda: world.authority.revoke(agent))
    with world.make_guard(audit=log).acting_as(agent), pytest.raises(CredentialRevokedError):
        send(["ada"])

    assert [] == ran


def test_a_guard_that_only_observes_notes_it_and_lets_it_run(world):
    to, ran, records = ["ada"], [], []

    @requires("write:mail/{to}")
    def send(to):
        ran.append(list(to))

    log = ChangingLog(lambda: to.append("eve"))
    guard = world.make_guard(ObserveOnlyGuard, audit=log, observers=[records.append])
    with guard.acting_as(world.issue("mailer", **AGENT)):
        send(to)

    assert [["ada", "eve"]] == ran
    assert ["would_deny"] == [record.effect for record in records]

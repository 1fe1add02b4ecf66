"""From recorded runs to what agents need: what is kept, added, asked about, named and left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_runs import Recorder

from agentid.assurance.evidence import Runs
from agentid.assurance.least_privilege import suggest
from agentid.config.reader import parse

ASKED = {"effect": "would_ask", "reason": "approval_required"}
APPROVED = {"effect": "allow", "reason": "approved"}
DENIED = {"effect": "deny", "reason": "scope_missing"}


@pytest.fixture
def recorder():
    return Recorder()


def configured(text):
    return parse(text, source=Path("agentid.toml"))


def suggested(recorder, text=None, **options):
    """What is suggested for the only agent: its lists as text, and the suggestion for it."""
    suggestion = suggest(Runs(recorder.records), None if text is None else configured(text), **options)
    [agent] = suggestion.agents
    return [str(line.permission) for line in agent.allow], [str(line.permission) for line in agent.ask], agent


# --- what is counted ------------------------------------------------------------------------------


def test_a_call_counts_once_though_it_has_two_records(recorder):
    recorder.calls("read:x/1", "read:x/1", "read:x/2").run = "run-2"
    recorder.call("read:x/1")
    _, _, agent = suggested(recorder)
    first, second = (line.evidence for line in agent.allow)

    assert "3 times in 2 runs, 2026-11-25T09:46:41Z to 2026-11-25T09:46:44Z" == str(first)
    assert (1, {"urn:x-agentid:audit:chain:run-1"}) == (second.times, second.runs)
    assert "once in 1 run, 2026-11-25T09:46:43Z" == str(second)


@pytest.mark.parametrize("phases", [("decision",), ("outcome",), ("decision", "outcome")])
def test_a_call_counts_whichever_of_its_records_is_there(recorder, phases):
    recorder.call("read:x/1", phases=phases).call("read:x/1", phases=phases)

    assert [2] == [line.evidence.times for line in suggested(recorder)[2].allow]


def test_a_call_that_touches_several_resources_counts_for_each(recorder):
    recorder.call("read:x/1", "write:y/2", "read:x/1")

    allow, _, agent = suggested(recorder)

    assert (["read:x/1", "write:y/2"], [1, 1]) == (allow, [line.evidence.times for line in agent.allow])


def test_no_more_calls_are_remembered_than_go_on_at_one_time(recorder):
    recorder.calls(*["read:x/1"] * 100).calls(*["read:x/2"] * 100, **DENIED)

    assert set() == Runs(recorder.records)._open


def test_a_call_too_large_for_one_line_is_read_whole_and_counted_once_for_each_part(recorder):
    texts = [f"read:x/{'n' * 3000}{number}" for number in range(60)]
    recorder.call(*texts)
    runs = Runs(recorder.records)

    assert len(recorder.records) > 2
    assert (1, 60) == (runs.calls, len(runs.agents["bot"].allowed))
    assert {1} == {evidence.times for evidence in runs.agents["bot"].allowed.values()}


def test_what_a_sub_agent_did_counts_for_the_agent_at_the_root(recorder):
    recorder.call("read:x/1").call("read:x/2", below=("summariser",)).call("read:x/3", below=("summariser", "deep"))
    allow, _, agent = suggested(recorder)

    assert ["read:x/*"] == allow
    assert ("bot", ("deep", "summariser"), "team:support") == (agent.name, agent.sub_agents, agent.owner)


def test_what_names_no_resource_or_cannot_be_read_is_counted_and_nothing_else(recorder):
    recorder.call(effect="would_deny", reason="resource_invalid").call("read:x/1")
    cut = f"x/{'y' * 100}…[30000 characters, sha256:{'0' * 64}]"
    for resource, action in ((cut, "read"), ("x/../y", "read"), ("x/1", "reed")):
        record = Recorder().call("read:x/9").records[0]
        record["data"]["call"]["id"] = resource + action
        record["data"]["accesses"] = [{"action": action, "resource": resource}]
        recorder.records.append(record)
    runs = Runs(recorder.records)

    assert (5, {"tool": 1}, 3) == (runs.calls, dict(runs.unnamed), runs.unreadable)
    assert ["read:x/1"] == suggested(recorder)[0]


def test_what_went_around_the_wrapped_libraries_is_counted_and_not_granted(recorder):
    """No guard asks a grant about it, so a grant would only be wider."""
    recorder.call("execute:dns://a.example", effect="allow", reason="second_door")
    recorder.call(effect="allow", reason="second_door").call("read:x/1")
    recorder.call("execute:tcp://a.example:80", effect="deny", reason="second_door")
    allow, ask, agent = suggested(recorder)
    runs = Runs(recorder.records)

    assert (["read:x/1"], []) == (allow, ask)
    assert [("execute:tcp://a.example:80", "second_door")] == [(str(one.access), one.reason) for one in agent.refused]
    assert (2, 2, {}) == (runs.calls, runs.second_doors, dict(runs.unnamed))


def test_an_agent_whose_name_cannot_stand_in_a_configuration_is_named(recorder):
    recorder.call("read:x/1", agent="ns/prod/sa/bot").call("read:x/1")
    suggestion = suggest(Runs(recorder.records))

    assert ("spiffe://acme.example/agent/ns/prod/sa/bot",) == suggestion.strangers
    assert ["bot"] == [agent.name for agent in suggestion.agents]


def test_agents_of_one_name_in_several_trust_domains_are_told(recorder):
    recorder.call("read:x/1").call("read:x/2", domain="other.example")
    suggestion = suggest(Runs(recorder.records))

    assert ("spiffe://acme.example/agent/bot", "spiffe://other.example/agent/bot") == suggestion.agents[0].ids
    assert "" == suggestion.trust_domain


@pytest.mark.parametrize("odd", [5, "x", [], [5], {}, {"agent": 5}, [{"agent": ["x"]}], True, None])
@pytest.mark.parametrize("where", ["call", "part", "delegation", "labels", "outcome", "phase", "decision.permission"])
def test_records_that_nobody_of_ours_wrote_stop_nothing_and_name_no_agent(recorder, where, odd):
    """With `--unverified` anything may stand there."""
    record, _ = (
        recorder.call("read:x/1", phases=("decision",)).call("read:y/1", agent="other", phases=("decision",)).records
    )
    *above, last = where.split(".")
    (record["data"][above[0]] if above else record["data"])[last] = odd
    runs = Runs(recorder.records)

    assert ({"other"} if where == "delegation" and odd else {"bot", "other"}) == set(runs.agents)


# --- allow and ask --------------------------------------------------------------------------------


def test_no_action_becomes_another(recorder):
    recorder.calls("read:x/1", "read:x/2", "write:x/3", "edit:x/4")

    assert ["read:x/1", "read:x/2", "write:x/3", "edit:x/4"] == suggested(recorder)[0]


def test_what_a_person_was_asked_about_stays_asked_about(recorder):
    recorder.call("write:x/1", **ASKED).call("write:x/2", **APPROVED).call("write:y/1").call("write:y/1", **ASKED)

    assert ([], ["write:x/1", "write:x/2", "write:y/1"]) == suggested(recorder)[:2]


def test_what_was_done_beside_something_asked_about_is_asked_about_unless_it_ran_alone(recorder):
    """A record names only the first permission that asks."""
    recorder.call("read:a/1", "write:x/1", "read:b/1", permission="write:x/*", **ASKED).call("read:a/1")

    assert (["read:a/1"], ["read:b/1", "write:x/1"]) == suggested(recorder)[:2]


def test_asking_is_not_generalised_over_what_ran_without_asking(recorder):
    recorder.calls("read:x/1", "read:x/2", "read:x/3", **ASKED)
    assert ["read:x/*"] == suggested(recorder)[1]

    recorder.call("read:x/4")
    assert (["read:x/4"], ["read:x/1", "read:x/2", "read:x/3"]) == suggested(recorder)[:2]


def test_what_was_refused_is_named_and_never_granted(recorder):
    recorder.calls("read:x/1", "read:x/2", "read:x/3").call("read:x/4", **DENIED).call("delete:y", **DENIED)
    allow, ask, agent = suggested(recorder)

    assert (["read:x/1", "read:x/2", "read:x/3"], []) == (allow, ask)
    assert [("delete:y", "scope_missing"), ("read:x/4", "scope_missing")] == [
        (str(one.access), one.reason) for one in agent.refused
    ]


def test_what_was_refused_once_and_ran_later_is_granted_and_not_named_as_refused(recorder):
    recorder.call("read:x/1", **DENIED).call("read:x/1", effect="allow", reason="granted")
    allow, _, agent = suggested(recorder)

    assert (["read:x/1"], ()) == (allow, agent.refused)


@pytest.mark.parametrize("reason", ["policy_forbid", "constraint_violation", "revoked", "no_identity"])
def test_what_somebody_has_said_no_to_is_not_granted_because_it_was_observed(recorder, reason):
    recorder.call("read:x/1", reason=reason).call("read:y/1")
    allow, _, agent = suggested(recorder)

    assert (["read:y/1"], [reason]) == (allow, [one.reason for one in agent.refused])


@pytest.mark.parametrize("reason", ["scope_missing", "expired", "session_ended"])
def test_what_an_observing_guard_would_have_refused_for_want_of_a_grant_or_time_is_granted(recorder, reason):
    recorder.call("read:x/1", reason=reason)

    assert ["read:x/1"] == suggested(recorder)[0]


def test_an_effect_that_nobody_knows_grants_nothing(recorder):
    recorder.call("read:y/1")
    for record in Recorder().call("read:x/1").records:
        record["data"]["call"]["id"] = "other"
        record["data"]["decision"]["effect"] = "permit"
        recorder.records.append(record)

    assert ["read:y/1"] == suggested(recorder)[0]


def test_the_dangerous_stand_first(recorder):
    recorder.calls("read:a", "write:b", "delete:c", "execute:d")
    allow, _, agent = suggested(recorder)

    assert ["delete:c", "execute:d", "read:a", "write:b"] == allow
    assert [True, True, False, False] == [bool(line.dangers) for line in agent.allow]


def test_secrets_are_named_one_by_one(recorder):
    recorder.calls(*[f"read:file:///home/ada/.ssh/key-{number}" for number in range(5)])

    assert 5 == len(suggested(recorder)[0])


def test_names_become_a_star_on_request_and_it_is_said(recorder):
    recorder.calls("read:crm/orders", "read:crm/users", "read:crm/logs")
    allow, _, agent = suggested(recorder, names=3)

    assert (["read:crm/*"], [True]) == (allow, [line.by_name for line in agent.allow])


def test_only_the_named_agents(recorder):
    recorder.call("read:x/1").call("read:x/1", agent="clerk")

    assert ["clerk"] == [agent.name for agent in suggest(Runs(recorder.records), agents=["clerk"]).agents]


# --- what is granted already ----------------------------------------------------------------------

GRANTED = """\
[agents.bot]
owner = "team:bots"
purpose = "support"
ttl_minutes = 5
allow = ["read:crm/**", "write:crm/*", { permission = "write:bank/*", where = { amount = { at_most = 100 } } }]
ask = ["write:mail/*", "share:mail/*"]

[agents.other]
allow = ["read:x"]
"""


def test_what_is_granted_and_was_used_is_kept_as_it_is(recorder):
    recorder.call("read:crm/a/1", effect="allow", reason="granted").call("write:mail/a", **APPROVED)
    recorder.call("write:bank/7", effect="allow", reason="granted").call("read:new/1")
    allow, ask, agent = suggested(recorder, GRANTED)

    assert ["read:crm/**", "read:new/1", 'write:bank/* where {"amount": {"at_most": 100}}'] == sorted(allow)
    assert ["write:mail/*"] == ask
    assert {"allow": ["write:crm/*"], "ask": ["share:mail/*"]} == {
        name: list(map(str, unused)) for name, unused in agent.unused.items()
    }
    assert {"read:crm/**": True, "read:new/1": False} == {
        str(line.permission): line.is_kept for line in agent.allow if not line.permission.constraints
    }
    assert ("team:bots", "support", 5) == (agent.owner, agent.purpose, agent.ttl_minutes)


def test_what_did_not_fit_a_constraint_is_not_granted_without_it(recorder):
    recorder.call("write:bank/7", effect="would_deny", reason="constraint_violation")
    allow, _, agent = suggested(recorder, GRANTED)

    assert ([], ["constraint_violation"]) == (allow, [one.reason for one in agent.refused])

    recorder.call("write:bank/8", effect="allow", reason="granted")
    allow, _, agent = suggested(recorder, GRANTED)
    assert (1, ["write:bank/7"]) == (len(allow), [str(one.access) for one in agent.refused])


def test_agents_that_were_not_seen_are_named_and_not_spoken_of(recorder):
    recorder.call("read:crm/a/1")
    suggestion = suggest(Runs(recorder.records), configured(GRANTED))

    assert (("other",), ["bot"]) == (suggestion.unseen, [agent.name for agent in suggestion.agents])

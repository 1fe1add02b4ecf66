"""
Under what is suggested from runs, a guard refuses nothing that the runs did, and everything that is not printed.

The printed text is what counts: it is read as a configuration, granted, and enforced by a guard. Which resources a
pattern matches is said a second time here, in a few lines that know nothing of the code.
"""

from __future__ import annotations

import re
from pathlib import Path

from recorded_runs import Recorder

from agentid import Guard
from agentid.assurance.evidence import Runs
from agentid.assurance.least_privilege import suggest
from agentid.assurance.suggested_toml import is_suggested, lists_of, text_of
from agentid.config import AgentEntry
from agentid.config.editing import with_grants
from agentid.config.reader import parse
from agentid.errors import AccessDeniedError
from agentid.guard import Approval
from agentid.identity import Authority
from agentid.permission import ACTIONS
from agentid.record import Access
from agentid.resource import Resource
from tests import generated

AUTHORITY = Authority.create("acme.example")
SOURCE = Path("agentid.toml")
AGENTS = ["bot", "clerk", "a.b-c"]
WORDS = ["summary", "archive", "orders", "notes", "index", "all", "users", "logs", "mail", "x"]
IDS = ["1", "2", "3", "42", "c-1", "c-2", "c-3", "9f86d081", "0a1b2c3d", "2026-11-25", "2026-11-26", "2026-11-27"]
SHAPES = [
    "crm/customers/{id}",
    "crm/customers/{id}/orders/{id}",
    "crm/{word}/{id}",
    "crm/{word}",
    "{word}",
    "mail/outbox/{word}@acme.example",
    "https://api.acme.example/v1/{word}/{id}",
    "https://api.acme.example:8443/v1/{id}",
    "https://api.evil.example/v1/{id}",
    "https://api.acme.example",
    "file:///srv/data/report-{id}.csv",
    "file:///srv/data/{word}/{id}/{word}.txt",
    "file:///home/ada/.ssh/{word}",
    "postgres://db.acme.example/crm/public/{word}",
    "postgres://db.acme.example/{word}/public/{word}",
    "mcp://github/{word}",
]
EFFECTS = [
    ("allow", "granted"),
    ("would_deny", "scope_missing"),
    ("would_deny", "expired"),
    ("would_ask", "approval_required"),
    ("allow", "approved"),
    ("deny", "scope_missing"),
    ("would_deny", "policy_forbid"),
]
DONE = EFFECTS[:5]


def touched(rng):
    """One access; mostly of a few shapes, so that many are alike."""
    if rng.random() < 0.1:
        return Access(rng.choice(ACTIONS), generated.resource(rng))
    text = re.sub("{(id|word)}", lambda m: rng.choice(IDS if m[1] == "id" else WORDS), rng.choice(SHAPES))
    return Access(rng.choice(ACTIONS[:2]) if rng.random() < 0.8 else rng.choice(ACTIONS), Resource.parse(text))


def runs_of(rng):
    """Some runs, and of each agent: what was done, what of that was asked about, and what was refused."""
    recorder = Recorder()
    shapes = [touched(rng) for _ in range(rng.randint(1, 4))]
    done, asked, refused = set(), set(), set()
    for number in range(rng.randint(1, 60)):
        recorder.run = f"run-{number % 3}"
        agent = rng.choice(AGENTS)
        effect, reason = rng.choice(EFFECTS[:2]) if rng.random() < 0.7 else rng.choice(EFFECTS)
        accesses = [rng.choice(shapes) if rng.random() < 0.1 else touched(rng) for _ in range(rng.choice([1, 1, 1, 2]))]
        recorder.call(*accesses, agent=agent, effect=effect, reason=reason)
        named = {(agent, one) for one in accesses}
        if (effect, reason) in DONE:
            done |= named
            asked |= named if reason in {"approved", "approval_required"} else set()
        else:
            refused |= named
    return Runs(recorder.records), done, asked, refused


def changed(rng, one):
    """An access beside another: another action, a sibling, deeper, higher, another host, another scheme."""
    key = list(one.resource.key)
    kind = rng.choice(["action", "sibling", "sibling", "deeper", "higher", "host", "port", "scheme", "path"])
    if kind == "action":
        return Access(rng.choice(ACTIONS), one.resource)
    if kind == "deeper":
        return Access(one.action, Resource((*key, rng.choice(["x", "7"]))))
    if kind == "higher" and len(key) > 4:
        key.pop()
    elif kind in {"sibling", "path"} and len(key) > 3:
        key[-1 if kind == "sibling" else rng.randrange(3, len(key))] = rng.choice(
            ["zz", "77", "zz.csv", "report-z.csv"]
        )
    elif key[0]:
        place = {"host": 1, "port": 2, "scheme": 0}.get(kind, 1)
        key[place] = {0: "gopher", 1: "other.example", 2: "9"}[place]
    return Access(one.action, Resource(tuple(key)))


def printed_matches(printed, one):
    """Whether a printed permission matches, by its text alone."""
    action, _, pattern = printed.partition(":")
    deep = pattern.endswith("/**")
    pieces = (pattern[:-3] if deep else pattern).split("*")
    expression = "[^/]*".join(map(re.escape, pieces)) + ("(/[^/]+)+" if deep else "")
    return action == one.action and re.fullmatch(expression, str(one.resource)) is not None


def guarded(entry):
    """A guard, an agent that is granted what is configured, and the list of records."""
    records = []
    guard = Guard(AUTHORITY.trust, approver=lambda request: Approval(True, id="yes"), observers=[records.append])
    return guard, AUTHORITY.issue("bot", allow=entry.allow, ask=entry.ask), records


def effect_of(guard, records, one):
    """What a guard makes of it: allowed, asked about, or refused."""
    try:
        with guard.access(one.action, one.resource):
            pass
    except AccessDeniedError:
        return "deny"
    return "ask" if records[-1].reason == "approved" else "allow"


def law_of(rng, counted, config, text):
    runs, done, asked, refused = runs_of(rng)
    deep, names = rng.random() < 0.2, rng.choice([3, 8, 8])
    suggestion = suggest(runs, config, names=names, deep=deep)
    if config is None:
        after = parse(text_of(suggestion, only_ascii=rng.random() < 0.5), source=SOURCE)
    else:
        lists = {agent.name: lists_of(agent) for agent in suggestion.agents}
        wanted = {
            agent.name: {
                "allow": tuple(line.permission for line in agent.allow),
                "ask": tuple(line.permission for line in agent.ask),
            }
            for agent in suggestion.agents
        }
        after = parse(with_grants(text, SOURCE, lists, wanted, may_go=is_suggested), source=SOURCE)
    for agent in suggestion.agents:
        entry = after.agents.get(agent.name, AgentEntry(agent.name))
        held = config.agents[agent.name] if config and agent.name in config.agents else AgentEntry(agent.name)
        assert tuple(line.permission for line in agent.allow) == entry.allow
        assert tuple(line.permission for line in agent.ask) == entry.ask
        mine = {one for name, one in done if name == agent.name}
        mine_refused = {one for name, one in refused if name == agent.name} - mine
        old = [str(permission) for permission in (*held.allow, *held.ask)]
        printed = [str(permission) for permission in (*entry.allow, *entry.ask)]
        guard, issued, records = guarded(entry)
        with guard.acting_as(issued):
            for one in mine:
                effect = effect_of(guard, records, one)
                assert effect != "deny", one
                if not any(printed_matches(text, one) for text in old):
                    assert effect == ("ask" if (agent.name, one) in asked else "allow"), one
                    counted[effect] += 1
            # In order: a set of text is in another one each time, and then other cases are tried.
            seen = sorted(mine | mine_refused, key=str)
            beside = [changed(rng, one) for one in seen for _ in range(3)]
            for one in {*mine_refused, *beside} - mine:
                effect = effect_of(guard, records, one)
                assert (effect != "deny") == any(printed_matches(text, one) for text in printed), one
                if effect == "deny":
                    counted["denied"] += 1
                elif not any(printed_matches(text, one) for text in old):
                    assert one not in mine_refused, one
                    like = [
                        other
                        for other in mine
                        if other.action == one.action and other.resource.key[:3] == one.resource.key[:3]
                    ]
                    same_depth = [other for other in like if len(other.resource.key) == len(one.resource.key)]
                    assert len(like if deep else same_depth) >= 3, one
                    counted["generalised"] += 1


def test_what_was_done_is_allowed_and_nothing_else_that_is_not_printed():
    counted = generated.tried(120, lambda rng, counted: law_of(rng, counted, None, ""))

    assert {} == generated.enough(counted, allow=1200, ask=120, denied=3000, generalised=20)


CONFIGURED = """\
# what there was before
trust_domain = "acme.example"
forbid = ["delete:crm/**"]

[agents.bot] # the first
owner = "team:bots"
allow = ["read:crm/**", "write:crm/customers/*"]   # wide
ask = ["read:mail/outbox/*"]

[agents."a.b-c"]
ttl_minutes = 5

[audit]
path = "audit"
"""


def test_what_was_granted_and_used_stays_granted_and_the_rest_of_the_file_stays_as_it_is():
    config = parse(CONFIGURED, source=SOURCE)
    counted = generated.tried(80, lambda rng, counted: law_of(rng, counted, config, CONFIGURED))

    assert {} == generated.enough(counted, allow=500, ask=50, denied=1500)

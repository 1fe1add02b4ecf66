"""
The least that agents need, from what recorded runs did: records in, suggestion out.

Rules:

- What is granted already and was used is kept as it is. What is granted and was not used is named, and left out.
- What was done and is not granted becomes a permission, generalised only as `generalise` says. No action becomes
  another.
- What a person was asked about stays something that a person is asked about.
- What was refused is named and not granted; no pattern is made that would grant it.
- An agent that was not seen is not spoken of: nobody knows what it needs.

A guard under the suggestion refuses nothing of what was seen to be done, and everything that its text does not match.
There are two exceptions, named as refused: what the policy forbids, and what did not fit the constraints of a
permission, as they were noted by a guard that only observes. This does no I/O.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from agentid.assurance.danger import dangers_of, holds_secrets
from agentid.assurance.evidence import AgentRuns, Evidence, Runs
from agentid.assurance.generalise import MANY_NAMES, generalise
from agentid.config import AgentEntry, Config
from agentid.permission import ACTIONS, Action, Permission
from agentid.record import Access
from agentid.resource import Resource

__all__ = ["AgentSuggestion", "Line", "Refused", "Suggestion", "suggest"]

_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Line:
    """
    One permission of a suggestion.

    Attributes:
        permission: What is granted.
        evidence: What it rests on.
        dangers: Why a person should look at it first.
        is_kept: Whether it is granted already.
        by_name: Whether a `*` in it stands for names that were seen, and matches any other name.
    """

    permission: Permission
    evidence: Evidence
    dangers: tuple[str, ...] = ()
    is_kept: bool = False
    by_name: bool = False


@dataclass(frozen=True)
class Refused:
    """What was refused and is not granted: the access, why, and how often."""

    access: Access
    reason: str
    evidence: Evidence


@dataclass(frozen=True)
class AgentSuggestion:
    """
    What one agent needs.

    Attributes:
        name: Of the agent.
        owner: Who answers for it, if anybody knows.
        purpose: What it is for, as configured.
        ttl_minutes: How long it lives, if configured.
        allow: What it may do, the dangerous first.
        ask: What it may do once a person said yes, the dangerous first.
        unused: What is granted and was not used, by list: `allow` and `ask`.
        refused: What was refused, and stays so.
        sub_agents: The agents below it whose accesses are among these.
        ids: Its SPIFFE IDs, more than one if several agents have the name.
    """

    name: str
    owner: str = ""
    purpose: str = ""
    ttl_minutes: int | None = None
    allow: tuple[Line, ...] = ()
    ask: tuple[Line, ...] = ()
    unused: Mapping[str, tuple[Permission, ...]] = field(default_factory=dict[str, "tuple[Permission, ...]"])
    refused: tuple[Refused, ...] = ()
    sub_agents: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suggestion:
    """
    What the agents of the given runs need.

    Attributes:
        agents: By name.
        unseen: Agents of the configuration that did nothing.
        runs: How many runs there were.
        calls: How many calls.
        second_doors: How often something went around the wrapped libraries.
        unnamed: How many of the calls named no resource, by tool.
        unreadable: How many accesses could not be read.
        strangers: Agents whose names cannot stand in a configuration.
        trust_domain: Of all agents; empty if they are of several.
    """

    agents: tuple[AgentSuggestion, ...]
    unseen: tuple[str, ...] = ()
    runs: int = 0
    calls: int = 0
    second_doors: int = 0
    unnamed: Mapping[str, int] = field(default_factory=dict[str, int])
    unreadable: int = 0
    strangers: tuple[str, ...] = ()
    trust_domain: str = ""


def suggest(
    runs: Runs,
    config: Config | None = None,
    *,
    agents: Collection[str] = (),
    names: int = MANY_NAMES,
    deep: bool = False,
) -> Suggestion:
    """
    Suggest what each agent is to be granted.

    Args:
        runs: What they did.
        config: What is granted already.
        agents: Only these; all that were seen if it is empty.
        names: How many different names in one place become `*`.
        deep: Whether `**` may stand for what is of different depths.
    """
    entries: Mapping[str, AgentEntry] = {} if config is None else config.agents
    places = () if config is None else config.places
    seen = {name: agent for name, agent in sorted(runs.agents.items()) if not agents or name in agents}
    domain = _trust_domain(seen.values())

    def line(permission: Permission, evidence: Evidence, *, is_kept: bool = False, by_name: bool = False) -> Line:
        own = domain if config is None else config.trust_domain
        dangers = dangers_of(permission, places=places, trust_domain=own)
        return Line(permission, evidence, dangers, is_kept, by_name)

    return Suggestion(
        agents=tuple(_of_agent(agent, entries.get(name), line, names=names, deep=deep) for name, agent in seen.items()),
        unseen=tuple(sorted(entries.keys() - runs.agents.keys())),
        runs=len(runs.runs),
        calls=runs.calls,
        second_doors=runs.second_doors,
        unnamed=dict(runs.unnamed.most_common()),
        unreadable=runs.unreadable,
        strangers=tuple(sorted(runs.strangers)),
        trust_domain=domain,
    )


def _of_agent(
    agent: AgentRuns, known: AgentEntry | None, line: Callable[..., Line], *, names: int, deep: bool
) -> AgentSuggestion:
    entry = known or AgentEntry(agent.name)
    granted: dict[str, tuple[Permission, ...]] = {"allow": entry.allow, "ask": entry.ask}
    lists: dict[str, list[Line]] = {}
    needed: dict[str, defaultdict[Action, dict[Resource, Evidence]]] = {}
    used: defaultdict[tuple[str, Permission], list[Evidence]] = defaultdict(list)
    for name, seen in (("allow", agent.allowed), ("ask", agent.asked)):
        needed[name] = defaultdict(dict)
        for access, evidence in seen.items():
            matching = [
                (there, held) for there, all_held in granted.items() for held in all_held if _fits(held, access)
            ]
            for one in matching:
                used[one].append(evidence)
            if not matching:
                needed[name][access.action][access.resource] = evidence
    for name, held in granted.items():
        kept = [one for one in held if (name, one) in used]
        lists[name] = [line(one, Evidence.together(used[name, one]), is_kept=True) for one in kept]
        for action, resources in needed[name].items():
            avoid = _never(agent, action, name)
            apart = [resource for resource in resources if holds_secrets(resource)]
            for general in generalise(resources, names=names, deep=deep, avoid=avoid, apart=apart):
                evidence = Evidence.together(resources[resource] for resource in general.seen)
                lists[name].append(line(Permission(action, general.pattern), evidence, by_name=general.by_name))
        lists[name].sort(key=_order)
    free = [one.permission for lines in lists.values() for one in lines if not one.permission.constraints]
    return AgentSuggestion(
        name=agent.name,
        owner=entry.owner or agent.owner,
        purpose=entry.purpose,
        ttl_minutes=entry.ttl // _MINUTE if known else None,
        allow=tuple(lists["allow"]),
        ask=tuple(lists["ask"]),
        unused={name: tuple(one for one in held if (name, one) not in used) for name, held in granted.items()},
        refused=tuple(
            Refused(refusal.access, refusal.reason, evidence)
            for refusal, evidence in sorted(
                agent.refused.items(), key=lambda item: (str(item[0].access), item[0].reason)
            )
            if not any(_fits(held, refusal.access) for held in free)
        ),
        sub_agents=tuple(sorted(agent.sub_agents)),
        ids=tuple(sorted(agent.ids)),
    )


def _fits(held: Permission, access: Access) -> bool:
    return held.action == access.action and held.resource.matches(access.resource)


def _never(agent: AgentRuns, action: Action, name: str) -> list[Resource]:
    """What no pattern may match: what was refused; and of what a person is asked about, what ran without asking."""
    found = [refusal.access.resource for refusal in agent.refused if refusal.access.action == action]
    if name == "ask":
        found += [access.resource for access in agent.allowed if access.action == action]
    return found


def _order(line: Line) -> tuple[bool, int, str]:
    return not line.dangers, ACTIONS.index(line.permission.action), str(line.permission)


def _trust_domain(agents: Iterable[AgentRuns]) -> str:
    domains = {agent_id.partition("://")[2].partition("/")[0] for agent in agents for agent_id in agent.ids}
    return domains.pop() if len(domains) == 1 else ""

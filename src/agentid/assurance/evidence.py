"""
What recorded runs did: for each agent, which action on which resource, how often, and what came of it.

- A run is what one process wrote: one chain of an audit log.
- A call counts once, though it has two records. One that touches several resources counts once for each.
- What a sub-agent did counts for the agent at the root of its chain, which must hold what it hands on.
- A record that names no resource, or one that was too long for its line, is counted and says nothing else. So is what
  went around the wrapped libraries: nobody is asked about that, whatever is granted.

This reads records and looks at nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from agentid.errors import Error
from agentid.permission import Permission, parse_action
from agentid.record import Access
from agentid.resource import Resource

__all__ = ["AgentRuns", "Evidence", "Refusal", "Runs"]

_CUT: Final = re.compile(r"…\[[0-9]+ characters, sha256:[0-9a-f]{64}\]")
_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,128}")  # as in `agentid.toml`
_MAX_OWNER: Final = 1000

# Where somebody has said no already, or it was not the agent: an observed run is no reason to grant it.
_STAYS_REFUSED: Final = frozenset({"policy_forbid", "constraint_violation", "revoked", "no_identity"})
_SECOND_DOOR: Final = ("allow", "second_door")  # seen, and let through

Outcome = Literal["allowed", "asked", "refused"]


@dataclass
class Evidence:
    """
    How often something was seen, and when.

    Attributes:
        times: How many accesses.
        runs: The runs in which it was seen, by name.
        first: When it was first seen, RFC 3339 in UTC.
        last: When it was last seen.
        resources: The different resources.
    """

    times: int = 0
    runs: set[str] = field(default_factory=set[str])
    first: str = ""
    last: str = ""
    resources: set[Resource] = field(default_factory=set[Resource])

    def add(self, resource: Resource, run: str, time: str) -> None:
        """Count one access."""
        self.times += 1
        self.resources.add(resource)
        self.runs.add(run)
        self.first = min(self.first or time, time)
        self.last = max(self.last, time)

    @classmethod
    def together(cls, parts: Iterable[Evidence]) -> Evidence:
        """Add several up."""
        whole = cls()
        for part in parts:
            whole.times += part.times
            whole.runs |= part.runs
            whole.resources |= part.resources
            whole.first = min(whole.first or part.first, part.first or whole.first)
            whole.last = max(whole.last, part.last)
        return whole

    def __str__(self) -> str:
        times = "once" if self.times == 1 else f"{self.times} times"
        resources = f" on {len(self.resources)} resources" if len(self.resources) > 1 else ""
        runs = "1 run" if len(self.runs) == 1 else f"{len(self.runs)} runs"
        first, last = f"{self.first[:19]}Z", f"{self.last[:19]}Z"
        return f"{times}{resources} in {runs}, {first}" + (f" to {last}" if last != first else "")


@dataclass(frozen=True)
class Refusal:
    """An access that was refused, and is not to be granted: what, and the reason that the record gives."""

    access: Access
    reason: str


@dataclass
class AgentRuns:
    """
    What one agent did.

    Attributes:
        name: Of the agent.
        owner: Who answers for it, if a record says.
        ids: Its SPIFFE IDs: more than one if agents of several trust domains have the name.
        allowed: What ran, or would have had to be granted to run.
        asked: What a person was asked about, or would have been.
        refused: What was refused.
        sub_agents: Those whose accesses are among these.
    """

    name: str
    owner: str = ""
    ids: set[str] = field(default_factory=set[str])
    allowed: dict[Access, Evidence] = field(default_factory=dict[Access, Evidence])
    asked: dict[Access, Evidence] = field(default_factory=dict[Access, Evidence])
    refused: dict[Refusal, Evidence] = field(default_factory=dict[Refusal, Evidence])
    sub_agents: set[str] = field(default_factory=set[str])
    _beside: dict[Access, Evidence] = field(default_factory=dict[Access, Evidence])

    def settle(self) -> None:
        """
        Put what was done in one call with something that a person was asked about where it belongs.

        A record names only the first permission that asks. What ran elsewhere without asking needs no asking; of
        the rest nobody knows, so a person is asked.
        """
        for access, evidence in self._beside.items():
            where = self.allowed if access in self.allowed else self.asked
            where[access] = Evidence.together([where.get(access, Evidence()), evidence])
        self._beside.clear()
        for access in self.asked.keys() & self.allowed.keys():
            self.asked[access] = Evidence.together([self.asked[access], self.allowed.pop(access)])

    def count(self, accesses: Iterable[Access], decision: Mapping[str, Any], run: str, time: str) -> None:
        """Count the accesses of one call."""
        effect, reason = str(decision["effect"]), str(decision.get("reason", ""))
        outcome = _outcome(effect, reason)
        rule = _permission(decision.get("permission")) if outcome == "asked" else None
        for access in accesses:
            if outcome == "refused":
                evidence = self.refused.setdefault(Refusal(access, reason), Evidence())
            elif outcome == "allowed":
                evidence = self.allowed.setdefault(access, Evidence())
            elif rule is None or (rule.action == access.action and rule.resource.matches(access.resource)):
                evidence = self.asked.setdefault(access, Evidence())
            else:
                evidence = self._beside.setdefault(access, Evidence())
            evidence.add(access.resource, run, time)


class Runs:
    """
    What the given records say, added one by one, oldest first.

    Attributes:
        agents: By name.
        runs: The names of the runs.
        calls: How many calls there were.
        second_doors: How often something went around the wrapped libraries, which is no call.
        unnamed: How many of the calls name no resource, by tool.
        unreadable: How many accesses could not be read.
        strangers: Agents whose names cannot stand in `agentid.toml`.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.agents: dict[str, AgentRuns] = {}
        self.runs: set[str] = set()
        self.strangers: set[str] = set()
        self.unnamed: Counter[str] = Counter()
        self.calls = self.second_doors = self.unreadable = 0
        self._open: set[tuple[str, str]] = set()
        for record in records:
            self.add(record)
        self.settle()

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one record; `settle` once all are added."""
        data: Mapping[str, Any] = record["data"]
        if not self._is_first(data):
            return
        decision = data["decision"]
        if (decision["effect"], decision.get("reason")) == _SECOND_DOOR:
            self.second_doors += 1
            return
        self.calls += _table(data.get("part")).get("number", 1) == 1
        run = str(record.get("source", ""))
        self.runs.add(run)
        accesses = self._accesses(data["accesses"])
        if not data["accesses"]:
            self.unnamed[str(_table(data.get("call")).get("tool", ""))] += 1
        agent = self._agent(data)
        if agent is not None:
            agent.count(accesses, decision, run, str(record["time"]))

    def settle(self) -> None:
        """Settle each agent."""
        for agent in self.agents.values():
            agent.settle()

    def _is_first(self, data: Mapping[str, Any]) -> bool:
        """Whether this is the first record of a call, or of one part of a call that is too long for a line."""
        call, part = _table(data.get("call")), _table(data.get("part"))
        key = str(call.get("id", "")), str(part.get("number", ""))
        if data.get("phase") == "outcome":
            if key in self._open:
                # The last record of a call; so no more is remembered than calls that go on at one time.
                self._open.discard(key)
                return False
            return True
        if key in self._open:
            return False
        if data["decision"]["effect"] != "deny":
            self._open.add(key)
        return True

    def _accesses(self, given: Iterable[Mapping[str, Any]]) -> list[Access]:
        found: list[Access] = []
        for access in given:
            if _CUT.search(access["resource"]):
                self.unreadable += 1
                continue
            try:
                found.append(Access(parse_action(access["action"]), Resource.parse(access["resource"])))
            except Error:
                self.unreadable += 1
        return list(dict.fromkeys(found))

    def _agent(self, data: Mapping[str, Any]) -> AgentRuns | None:
        acting: Mapping[str, Any] = data["agent"]
        delegation: object = data.get("delegation") or []
        chain = cast("list[object]", delegation) if isinstance(delegation, list) else [None]
        # Of a chain that cannot be read nobody is the root: its name is none that an agent can have.
        root = str(_table(chain[0]).get("agent", "")) if chain else str(acting["id"])
        _, below, last = root.rpartition("/agent/")
        name = (last if below else "") if chain else str(acting["name"])
        if not _NAME.fullmatch(name):
            self.strangers.add(root or name)
            return None
        agent = self.agents.setdefault(name, AgentRuns(name))
        agent.ids.add(root)
        if chain:
            agent.sub_agents.add(str(acting["name"]))
        else:
            owner = str(acting.get("owner", ""))
            agent.owner = owner if owner.isprintable() and len(owner) <= _MAX_OWNER else agent.owner
        return agent


def _outcome(effect: str, reason: str) -> Outcome:
    if effect == "would_ask" or (effect == "allow" and reason == "approved"):
        return "asked"
    if effect == "allow" or (effect == "would_deny" and reason not in _STAYS_REFUSED):
        return "allowed"
    return "refused"  # also what no version of this library wrote


def _table(value: object) -> Mapping[str, Any]:
    """*value*, or an empty table where somebody has written something else."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _permission(text: object) -> Permission | None:
    try:
        return Permission.parse(cast("str", text))
    except Error:
        return None

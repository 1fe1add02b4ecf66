"""
The hot path: what `_seven_steps` would answer, remembered for each session and tool.

Most calls of most tools are allowed, ask nobody and are written nowhere but into a span. For those the answer
depends on the session, the tool and the values that its templates name, and on nothing else; so it is found
out once for each combination and looked up from then on.

Rules:

- A plan answers yes, or no for good, or "ask the seven steps". It never guesses: whatever is unusual about a
  tool, a value or a rule is asked there. Values are text; equal values of another type are another question.
- Constraints are looked at again at each call, with the arguments of that call.
- Whether the agent may still act is not part of an answer. It is checked at each call, before.
- What is kept is bounded, in number and in length of values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from agentid.guard.binding import Template
from agentid.guard.explain import denial
from agentid.guard.telemetry import plan_attributes
from agentid.policy import Decision
from agentid.record import Access, SpanTemplate

if TYPE_CHECKING:
    from agentid.constraint import Constraint
    from agentid.errors import AccessDeniedError
    from agentid.guard.session import Session
    from agentid.guard.tool import Tool
    from agentid.permission import Permission

__all__ = ["Answer", "Plan", "named_values", "plan_for"]

_MOST_ANSWERS: Final = 4096
_LONGEST: Final = 256

Values = tuple[Any, ...]
"""The arguments of a call, one for each parameter in the order of the signature."""

Check = Callable[[Values], bool]


class Answer:
    """
    What is known about calls with certain values.

    Attributes:
        known: Whether anything is; otherwise, ask the seven steps.
        plain: Whether such a call may run and there is nothing else to it: no check, no span, no refusal.
        check: Looks at constrained arguments; None if there are none. False means: ask the seven steps.
        quiet: Whether a check is all there is to it.
        span: What its spans look like; None while nobody records.
        refused: Makes the error, if such a call is refused for good; None if it is allowed.
    """

    __slots__ = ("check", "known", "plain", "quiet", "refused", "span")

    def __init__(
        self,
        *,
        known: bool = True,
        check: Check | None = None,
        span: SpanTemplate | None = None,
        refused: Callable[[], AccessDeniedError] | None = None,
    ) -> None:
        self.known = known
        self.check = check
        self.span = span
        self.refused = refused
        silent = known and span is None and refused is None
        self.plain = silent and check is None
        self.quiet = silent and check is not None


class Plan:
    """
    The answers for one tool in one session.

    Attributes:
        fixed: The one answer, for a tool whose templates name no values.
        answers: What is known so far, by value: the text if the templates name one parameter, else a tuple.
    """

    __slots__ = ("_names", "_session", "_tool", "answers", "fixed")

    def __init__(self, session: Session, tool: Tool) -> None:
        self._session = session
        self._tool = tool
        self._names = named_values(tool) or ()
        self.answers: dict[Any, Answer] = {}
        self.fixed = Answer(known=False) if self._names else self._find_out({})

    def learn(self, key: Any) -> Answer:
        """Find out the answer for values that were not seen before."""
        values: tuple[str, ...] = (key,) if len(self._names) == 1 else key
        answer = self._find_out(dict(zip(self._names, values, strict=True)))
        if all(len(value) <= _LONGEST for value in values):
            if len(self.answers) >= _MOST_ANSWERS:
                self.answers.clear()
            self.answers[key] = answer
        return answer

    def _find_out(self, arguments: Mapping[str, Any]) -> Answer:
        try:
            return self._worked_out(self._tool.accesses(arguments))
        except Exception:  # noqa: BLE001 -- the seven steps will meet it again, and refuse
            return Answer(known=False)

    def _worked_out(self, accesses: tuple[Access, ...]) -> Answer:
        session, tool = self._session, self._tool
        checks: list[Check] = []
        for access in accesses:
            outline = session.rules.outline(access.action, access.resource.key)
            if isinstance(outline, Decision):
                if outline.effect != "allow":
                    # The first that is refused is the one to speak of, unless one before it must be asked about.
                    span, refused = self._template(accesses, outline), denial(session, tool, access, outline)
                    return Answer(span=span, refused=refused) if not checks else Answer(known=False)
                continue
            check = None if outline is None else self._check(outline)
            if check is None:
                return Answer(known=False)
            checks.append(check)
        return Answer(check=_all(checks), span=self._template(accesses, Decision("allow", "granted")))

    def _template(self, accesses: tuple[Access, ...], decision: Decision) -> SpanTemplate | None:
        spans = self._session.spans
        if spans is None:
            return None
        return spans.template(self._tool.span_name, plan_attributes(self._session, self._tool, accesses, decision))

    def _check(self, permissions: tuple[Permission, ...]) -> Check | None:
        """A check that one of *permissions* is satisfied, or None if a constraint names no parameter."""
        order = list(self._tool.signature.parameters)
        alternatives: list[Check] = []
        for permission in permissions:
            parts: list[Check] = []
            for name, constraint in permission.constraints.items():
                if name not in order or name in self._tool.collected:
                    return None
                parts.append(_looks_at(order.index(name), constraint))
            satisfied = _all(parts)
            if satisfied is not None:
                alternatives.append(satisfied)
        if len(alternatives) == 1:
            return alternatives[0]
        return lambda values: any(check(values) for check in alternatives)


def plan_for(session: Session, tool: Tool) -> Plan:
    """The plan for *tool*, made when it is first wanted."""
    plan = session.plans[tool] = Plan(session, tool)
    return plan


def named_values(tool: Tool) -> tuple[str, ...] | None:
    """The parameters whose values the templates name, or None if those are not all that a decision depends on."""
    if not tool.is_exact:
        return None
    found: dict[str, None] = {}
    for requirement in tool.requirements:
        if not isinstance(requirement, Template) or not requirement.is_plain:
            return None
        found.update(dict.fromkeys(requirement.names))
    known = tool.signature.parameters.keys() - tool.collected
    return tuple(found) if found.keys() <= known else None


def _looks_at(position: int, constraint: Constraint) -> Check:
    """Look at the value at *position*; a whole number against an upper limit, the most common, without a detour."""
    allows = constraint.allows
    if constraint.kind != "at_most":
        return lambda values: allows(values[position])
    limit = constraint.operands[0]
    return lambda values: values[position] <= limit if type(values[position]) is int else allows(values[position])


def _all(checks: list[Check]) -> Check | None:
    if not checks:
        return None
    if len(checks) == 1:
        return checks[0]
    return lambda values: all(check(values) for check in checks)

"""A grant and a policy, compiled together. `Rules.decide` is the decision; nothing else decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agentid.permission import Permission
from agentid.policy.decision import Decision
from agentid.policy.exclusion import may_concern
from agentid.policy.index import PermissionIndex
from agentid.policy.policy import Policy
from agentid.resource import Key

__all__ = ["Rules"]

_NOTHING = Decision("deny", "scope_missing")


class Rules:
    """
    What one agent may do under one policy.

    Order, each step overriding the later ones: forbidden is no; not granted is no; asked about, by the
    grant or by the policy, is ask; the rest is yes.

    Args:
        allow: Permissions that the grant allows.
        ask: Permissions that the grant allows after a person said yes.
        policy: The guard's own rules.
        must_ask: What those must ask about who handed the grant on; grants nothing.
    """

    __slots__ = ("_allow", "_ask", "_forbid", "_must_ask", "_policy_ask")

    def __init__(
        self,
        allow: Iterable[Permission],
        ask: Iterable[Permission],
        policy: Policy,
        must_ask: Iterable[Permission] = (),
    ) -> None:
        self._allow = PermissionIndex(allow)
        self._ask = PermissionIndex(ask)
        self._must_ask = PermissionIndex(must_ask)
        self._forbid = PermissionIndex(policy.forbid)
        self._policy_ask = PermissionIndex(policy.ask)

    def decide(self, action: str, key: Key, arguments: Mapping[str, Any]) -> Decision:
        """Decide one access: *action* on the resource with this *key* in a call with these *arguments*."""
        forbidden = self._forbid.first(action, key, arguments)
        if forbidden is not None:
            return Decision("deny", "policy_forbid", forbidden)
        ask = self._ask.first(action, key, arguments)
        granted = self._allow.first(action, key, arguments) if ask is None else ask
        if granted is None:
            # The pattern fits and the arguments do not: worth telling apart from "not granted at all".
            near = self._ask.near(action, key) or self._allow.near(action, key)
            return _NOTHING if near is None else Decision("deny", "constraint_violation", near)
        # Allowed, and perhaps to be asked about: by the policy, by those above, or where a permission cannot judge the
        # arguments. A number passed as text must not get past "ask from 100 upwards".
        asked = (
            ask
            or self._must_ask.first(action, key, arguments)
            or self._doubtful(action, key, arguments)
            or self._policy_ask.first(action, key, arguments)
        )
        if asked is not None:
            return Decision("ask", "approval_required", asked)
        return Decision("allow", "granted", granted)

    def _doubtful(self, action: str, key: Key, arguments: Mapping[str, Any]) -> Permission | None:
        """A constrained `ask` that may well concern this call, or None."""
        constrained = (p for index in (self._ask, self._must_ask) for p in index.fitting(action, key)[1])
        return next((permission for permission in constrained if may_concern(permission, arguments)), None)

    def outline(self, action: str, key: Key) -> Decision | tuple[Permission, ...] | None:
        """
        What `decide` answers whatever the arguments are, for those who ask again and again.

        Returns a decision if it never depends on them; the permissions, one of which must be satisfied, if that is
        all it depends on; and None if it depends on more, or if a person must be asked.
        """
        forbidden = self._forbid.first(action, key, {})
        if forbidden is not None:
            return Decision("deny", "policy_forbid", forbidden)
        if any(any(index.fitting(action, key)) for index in (self._ask, self._must_ask, self._policy_ask)):
            return None
        free, constrained = self._allow.fitting(action, key)
        if free is not None:
            return Decision("allow", "granted", free)
        return tuple(constrained) or _NOTHING

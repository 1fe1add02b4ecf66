"""
Permissions compiled into a trie of segments for each action.

A look-up walks the segments of the resource and follows, at each, the branch of that name, the branch of
`*` and the branches of `prefix*suffix` that fit. It visits nodes, not permissions: a million siblings
cost what one costs. It stops at the first permission that applies, because the index is only ever asked
whether there is one; permissions without constraints are preferred.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from agentid.permission import Permission
from agentid.resource import Key, Part

__all__ = ["PermissionIndex"]

K = TypeVar("K")

_HEAD: Final = 3  # scheme, host and port
_NO_HEAD: Final = ("", "", "")
_NOTHING: Final[tuple[None, tuple[Permission, ...]]] = (None, ())


class _End:
    """The permissions whose pattern ends at a node: one without constraints is enough for all of them."""

    __slots__ = ("constrained", "free")

    def __init__(self) -> None:
        self.free: Permission | None = None
        self.constrained: list[Permission] = []

    def add(self, permission: Permission) -> None:
        if permission.constraints:
            self.constrained.append(permission)
        elif self.free is None:
            self.free = permission


class _Node:
    """A place in the trie: what may follow, and what ends here."""

    __slots__ = ("end", "globs", "names", "rest", "star")

    def __init__(self) -> None:
        self.names: dict[str, _Node] = {}
        self.star: _Node | None = None
        # Globs, by the lengths of prefix and suffix: one look-up for each such pair, not one test for each glob.
        self.globs: dict[tuple[int, int], dict[tuple[str, str], _Node]] | None = None
        self.end: _End | None = None
        self.rest: _End | None = None

    def child(self, part: Part) -> _Node:
        """The node after *part*, made if need be."""
        if isinstance(part, str):
            return _made(self.names, part)
        prefix, suffix = part
        if prefix or suffix:
            self.globs = self.globs or {}
            return _made(self.globs.setdefault((len(prefix), len(suffix)), {}), (prefix, suffix))
        self.star = self.star or _Node()
        return self.star

    def globbed(self, text: str) -> Iterator[_Node]:
        """The nodes that *text* leads to through a glob, found one by one: the first is often enough."""
        size = len(text)
        for (prefix, suffix), nodes in (self.globs or {}).items():
            if prefix + suffix <= size:
                node = nodes.get((text[:prefix], text[size - suffix :]))
                if node is not None:
                    yield node


def _made(nodes: dict[K, _Node], key: K) -> _Node:
    node = nodes.get(key)
    if node is None:
        node = nodes[key] = _Node()
    return node


class PermissionIndex:
    """
    A set of permissions, made for one question: does any of them apply to this access?

    Args:
        permissions: Any number, in any order. The first of two equal ones is the one reported.
    """

    __slots__ = ("_constrained", "_short", "_size", "_uris")

    def __init__(self, permissions: Iterable[Permission]) -> None:
        self._uris: dict[str, _Node] = {}
        # Short paths are most of what there is, and agree in scheme, host and port: they begin behind those.
        self._short: dict[str, _Node] = {}
        self._constrained = False
        self._size = 0
        for permission in permissions:
            self._add(permission)

    def _add(self, permission: Permission) -> None:
        action, parts = permission.action, permission.resource.parts
        if parts[:_HEAD] == _NO_HEAD:
            node = self._short.setdefault(action, _Node())
            parts = parts[_HEAD:]
        else:
            node = self._uris.setdefault(action, _Node())
        for part in parts:
            node = node.child(part)
        if permission.resource.rest:
            node.rest = end = node.rest or _End()
        else:
            node.end = end = node.end or _End()
        end.add(permission)
        self._constrained = self._constrained or bool(permission.constraints)
        self._size += 1

    def first(self, action: str, key: Key, arguments: Mapping[str, Any]) -> Permission | None:
        """A permission that applies, or None. One without constraints is preferred."""
        if not self._size:
            return None
        free, constrained = self.fitting(action, key)
        for permission in constrained:
            if permission.satisfied_by(arguments):
                return permission
        return free

    def near(self, action: str, key: Key) -> Permission | None:
        """A permission with constraints whose pattern fits, for explaining a denial; None if one without fits too."""
        _, constrained = self.fitting(action, key) if self._constrained else _NOTHING
        return constrained[0] if constrained else None

    def fitting(  # noqa: C901, PLR0912 -- one loop, without calls where it can
        self, action: str, key: Key
    ) -> tuple[Permission | None, Sequence[Permission]]:
        """A permission without constraints whose pattern fits; where there is none, all with constraints."""
        if key[0]:
            node, depth = self._uris.get(action), 0
        else:
            node, depth = self._short.get(action), _HEAD
        if node is None:
            return _NOTHING
        # A loop rather than recursion or a generator: this is the inside of every decision.
        constrained: list[Permission] = []
        branches: list[tuple[Iterator[_Node], int]] = []  # to come back to, each with the segment that it is at
        last = len(key)
        while True:
            while node is not None:
                if depth == last:
                    end = node.end
                    following = None
                else:
                    end = node.rest
                    text = key[depth]
                    depth += 1
                    following = node.names.get(text)
                    if node.globs is not None:
                        branches.append((node.globbed(text), depth))
                    if node.star is not None and text:
                        if following is None:
                            following = node.star
                        else:
                            branches.append((iter((node.star,)), depth))
                if end is not None:
                    if end.free is not None:
                        return end.free, ()
                    constrained += end.constrained
                node = following
            while branches:
                others, depth = branches[-1]
                node = next(others, None)
                if node is not None:
                    break
                branches.pop()
            else:
                return None, constrained

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"PermissionIndex({self._size} permissions)"

"""
The guard's own rules. They only narrow: nothing here can allow what no grant allows.

Also kept here, because they are declared in the same place and never read from content that a model
controls: what data is where (labels, origin), what kind of place a resource is, which flows are
forbidden, and limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from os import PathLike
from types import MappingProxyType
from typing import Any, TypeVar, cast

from agentid.config import (
    DEFAULT_APPROVAL_TIMEOUT,
    MAX_APPROVAL_TIMEOUT,
    Config,
    DataRule,
    FlowRule,
    Limit,
    PlaceRule,
    refuse_constrained,
)
from agentid.errors import ConfigurationError
from agentid.permission import Permission, permissions
from agentid.resource import Key

__all__ = ["Policy"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Policy:
    """
    What the guard forbids or asks a person about, whatever a grant says.

    Args:
        forbid: Permissions that nobody gets. They override every grant.
        ask: Permissions that need a person's yes for each call, where they are granted at all.
        data: Labels and origin of data, by resource.
        places: Kinds of places, by resource.
        flows: Where labelled data may not go.
        limits: By agent name.
        environment: Where this runs, such as `prod`.
        approval_timeout: How long a person has to answer; after that the answer is no.

    Raises:
        ConfigurationError: A rule is not one, or a forbidding rule is constrained by arguments: an
            argument of an unexpected type would slip past it. Constrain the grant, which fails closed.
    """

    forbid: tuple[Permission, ...] = ()
    ask: tuple[Permission, ...] = ()
    data: tuple[DataRule, ...] = ()
    places: tuple[PlaceRule, ...] = ()
    flows: tuple[FlowRule, ...] = ()
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=lambda: MappingProxyType({}))
    environment: str = ""
    approval_timeout: timedelta = DEFAULT_APPROVAL_TIMEOUT

    def __init__(
        self,
        *,
        forbid: Iterable[str | Permission] = (),
        ask: Iterable[str | Permission] = (),
        data: Iterable[DataRule] = (),
        places: Iterable[PlaceRule] = (),
        flows: Iterable[FlowRule] = (),
        limits: Mapping[str, Iterable[Limit]] | None = None,
        environment: str = "",
        approval_timeout: timedelta = DEFAULT_APPROVAL_TIMEOUT,
    ) -> None:
        values: dict[str, Any] = {
            "forbid": _unconditional(forbid, "forbid"),
            "ask": _unconditional(ask, "ask"),
            "data": _each(data, DataRule, "data"),
            "places": _each(places, PlaceRule, "places"),
            "flows": _each(flows, FlowRule, "flows"),
            "limits": _by_agent(limits),
            "environment": _text(environment),
            "approval_timeout": _timeout(approval_timeout),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def load(cls, path: str | PathLike[str] = "agentid.toml") -> Policy:
        """
        Read the rules of a configuration file; its agents are not part of a policy.

        Raises:
            ConfigurationError: The file is missing or wrong; the message names the line.
        """
        return cls.of(Config.load(path))

    @classmethod
    def of(cls, config: Config) -> Policy:
        """The rules of a configuration that was read already."""
        return cls(
            forbid=config.forbid,
            ask=config.ask,
            data=config.data,
            places=config.places,
            flows=config.flows,
            limits=config.limits,
            environment=config.environment,
            approval_timeout=config.approval_timeout,
        )

    def labels(self, key: Key) -> tuple[str, ...]:
        """The labels of the data at the resource with this key, sorted."""
        return tuple(sorted({label for rule in self.data if rule.resource.matches_key(key) for label in rule.labels}))


def _unconditional(rules: Iterable[str | Permission], where: str) -> tuple[Permission, ...]:
    read = permissions(rules, where=where)
    for rule in read:
        refuse_constrained(rule, where)
    return read


def _each(rules: Iterable[T], kind: type[T], where: str) -> tuple[T, ...]:
    try:
        read = tuple(rules)
    except TypeError:
        read = (None,)
    if not all(isinstance(rule, kind) for rule in read):
        raise ConfigurationError(f"`{where}` takes a list of `{kind.__name__}`")
    return cast("tuple[T, ...]", read)


def _by_agent(limits: object) -> Mapping[str, tuple[Limit, ...]]:
    if limits is None:
        limits = {}
    if not isinstance(limits, Mapping):
        raise ConfigurationError("`limits` takes a mapping from agent names to lists of `Limit`")
    by_agent = cast("Mapping[str, Iterable[Limit]]", limits)
    return MappingProxyType({name: _each(rules, Limit, "limits") for name, rules in by_agent.items()})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError("`environment` takes text")
    return value


def _timeout(value: object) -> timedelta:
    if not isinstance(value, timedelta):
        raise ConfigurationError("`approval_timeout` takes a timedelta")
    if not timedelta(0) < value <= MAX_APPROVAL_TIMEOUT:
        raise ConfigurationError(
            f"approval_timeout is {value}", why=f"it must be above zero and at most {MAX_APPROVAL_TIMEOUT.days} days"
        )
    return value

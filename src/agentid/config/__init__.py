"""
What `agentid.toml` says, as values: agents, rules, labels, places, flows, limits, paths.

`Config.load` reads a file, `Config.find` looks for one. Reading checks everything before anything is
used: an unknown table, key, action, label or agent is an error that names the line and the nearest right
word. The values are plain and frozen; what they mean for a call is decided in `policy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from agentid.errors import ConfigurationError, quote
from agentid.permission import Permission
from agentid.resource import ResourcePattern

__all__ = ["AgentEntry", "Config", "DataRule", "FlowRule", "Limit", "Origin", "PlaceKind", "PlaceRule", "Unit"]

Origin = Literal["real", "synthetic"]
PlaceKind = Literal["store", "cache", "model", "third-party", "human"]
Unit = Literal["calls", "rows", "bytes"]

DEFAULT_AUTHORITY: Final = ".agentid/authority.pem"
DEFAULT_TRUST_DOMAIN: Final = "localhost"
DEFAULT_TTL: Final = timedelta(hours=1)
DEFAULT_APPROVAL_TIMEOUT: Final = timedelta(minutes=5)
MAX_APPROVAL_TIMEOUT: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class DataRule:
    """What data is at the resources of a pattern."""

    resource: ResourcePattern
    labels: tuple[str, ...] = ()
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class PlaceRule:
    """What kind of place the resources of a pattern are."""

    resource: ResourcePattern
    kind: PlaceKind


@dataclass(frozen=True, slots=True)
class FlowRule:
    """Data with a label may not reach a kind of place, or only after a person said yes."""

    label: str
    to: PlaceKind
    then: Literal["deny", "ask"] = "deny"


@dataclass(frozen=True, slots=True)
class Limit:
    """How much an agent may do: of what, in which window, at most."""

    unit: Unit
    window: timedelta
    most: int


@dataclass(frozen=True, slots=True)
class AgentEntry:
    """One agent of the file: what it is issued with."""

    name: str
    owner: str = ""
    purpose: str = ""
    allow: tuple[Permission, ...] = ()
    ask: tuple[Permission, ...] = ()
    ttl: timedelta = DEFAULT_TTL


def _no_agents() -> Mapping[str, AgentEntry]:
    return MappingProxyType({})


def _no_limits() -> Mapping[str, tuple[Limit, ...]]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Config:
    """
    A whole configuration. Paths are absolute: those in a file are relative to the file's folder.

    Attributes:
        source: The file it was read from, or None for the defaults.
        trust_domain: The name under which agents are issued.
        authority: Path of the authority's key file.
        status_uri: Where it publishes what was revoked, or None.
        environment: Where this runs, such as `prod`.
        agents: By name.
        forbid: What nobody may do.
        ask: What needs a person's yes.
        data: Labels and origin of data, by resource.
        places: Kinds of places, by resource.
        flows: Where labelled data may not go.
        limits: By agent name.
        audit: Folder of the audit log, or None.
        approval_timeout: How long a person has to answer.
    """

    source: Path | None
    trust_domain: str
    authority: Path
    environment: str = ""
    status_uri: str | None = None
    agents: Mapping[str, AgentEntry] = field(default_factory=_no_agents)
    forbid: tuple[Permission, ...] = ()
    ask: tuple[Permission, ...] = ()
    data: tuple[DataRule, ...] = ()
    places: tuple[PlaceRule, ...] = ()
    flows: tuple[FlowRule, ...] = ()
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=_no_limits)
    audit: Path | None = None
    approval_timeout: timedelta = DEFAULT_APPROVAL_TIMEOUT

    @classmethod
    def load(cls, path: str | PathLike[str] = "agentid.toml") -> Config:
        """
        Read `agentid.toml`, or the table `[tool.agentid]` of a `pyproject.toml`.

        Raises:
            ConfigurationError: The file is missing, unreadable or wrong; the message names file and line.
            MissingExtraError: This is Python 3.10 without the `toml` extra.
        """
        from agentid.config.reader import read  # values alone need no reader

        return read(_path(path))

    @classmethod
    def find(cls, start: str | PathLike[str] = ".") -> Config | None:
        """
        Read the nearest `agentid.toml`, or `pyproject.toml` with a `[tool.agentid]`, in *start* or above it.

        Returns None if there is none.

        Raises:
            ConfigurationError: The one that was found is wrong.
        """
        from agentid.config.reader import find, read  # values alone need no reader

        path = find(_path(start))
        return None if path is None else read(path)


def refuse_constrained(rule: Permission, where: str) -> None:
    """
    Check a rule of the guard's own, such as `forbid`: it must not depend on arguments.

    Raises:
        ConfigurationError: It does, so an argument of an unexpected type would slip past it.
    """
    if rule.constraints:
        raise ConfigurationError(
            f"{where} rule {quote(rule)} is constrained by arguments",
            why="an argument of an unexpected type would slip past it",
            fix="Constrain the permission that the agent is granted",
        )


def _path(value: str | PathLike[str]) -> Path:
    try:
        return Path(value)
    except TypeError:
        raise ConfigurationError(
            f"not a path: {quote(type(value).__name__)}", why="it must be text or a Path"
        ) from None

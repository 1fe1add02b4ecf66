"""
Reads a `Config` from `agentid.toml`, or from `[tool.agentid]` of a `pyproject.toml`.

Rules:

- Everything is checked before anything is used. What is not known is an error: a key, a table, an
  action, a kind, a label, an agent. Nothing is ever ignored.
- An error is one line: the file's name, the line in it, what is wrong, and the nearest right word.
- `parse` is pure. Only `read` and `find` look at the disk.

What the values mean for a call is not decided here.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast, get_args

from agentid.config import (
    DEFAULT_APPROVAL_TIMEOUT,
    DEFAULT_AUTHORITY,
    DEFAULT_TRUST_DOMAIN,
    DEFAULT_TTL,
    MAX_APPROVAL_TIMEOUT,
    AgentEntry,
    Config,
    DataRule,
    FlowRule,
    Limit,
    Origin,
    PlaceKind,
    PlaceRule,
    Unit,
)
from agentid.config.table import Table, hint
from agentid.config.toml import Document
from agentid.errors import ConfigurationError, MissingExtraError, quote

__all__ = ["find", "parse", "read"]

FILE: Final = "agentid.toml"
PYPROJECT: Final = "pyproject.toml"
MAX_BYTES: Final = 1 << 16
MAX_PYPROJECT: Final = 1 << 20
"""That file belongs to other tools, too."""

_OUR_TABLE: Final = re.compile(r"""^[ \t]*\[*[ \t]*["']?tool["']?[ \t]*\.[ \t]*["']?agentid\b(?!-)""", re.MULTILINE)


# --- files ----------------------------------------------------------------------------------------------------------


def read(path: Path) -> Config:
    """
    Read a configuration file.

    Raises:
        ConfigurationError: It is missing, unreadable or wrong.
        MissingExtraError: This is Python 3.10 without the `toml` extra.
    """
    return parse(_text(path), source=path)


def find(start: Path) -> Path | None:
    """
    Look for the nearest configuration in *start* and the folders above it, up to the root.

    In one folder `agentid.toml` comes before a `pyproject.toml` with a table `[tool.agentid]`.

    Raises:
        ConfigurationError: *start* cannot be looked at.
        MissingExtraError: This is Python 3.10 without the `toml` extra, and a `pyproject.toml` seems to be ours.
    """
    try:
        start = start.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreadable(start, error) from None
    for folder in (start, *start.parents):
        # A link that leads nowhere is somebody's configuration too: `read` says what is wrong with it.
        if _mode(folder / FILE, follow=False) is not None:
            return folder / FILE
        if stat.S_ISREG(_mode(folder / PYPROJECT) or 0) and _is_ours(folder / PYPROJECT):
            return folder / PYPROJECT
    return None


def _mode(path: Path, *, follow: bool = True) -> int | None:
    """What kind of file is there, or None. A folder that may not be searched holds nothing for us."""
    try:
        return path.stat().st_mode if follow else path.lstat().st_mode
    except (OSError, ValueError):
        return None


def _is_ours(path: Path) -> bool:
    try:
        text = _text(path)
    except ConfigurationError:
        return False
    # Other tools own this file too. Broken or unparsable, it stops us only if it plainly has our table.
    plainly = _OUR_TABLE.search(text) is not None
    try:
        tool = Document(text, path.name).data.get("tool")
    except ConfigurationError:
        return plainly
    except MissingExtraError:
        if plainly:
            raise
        return False
    return isinstance(tool, dict) and "agentid" in tool


def _text(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise _cannot_read(path, "it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file")
        with path.open("rb") as file:
            most = MAX_PYPROJECT if path.name == PYPROJECT else MAX_BYTES
            raw = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if len(raw) > most:
        raise _cannot_read(path, f"it is larger than {most // 1024} KiB")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _cannot_read(path, f"line {line} is not UTF-8", "Save it as UTF-8") from None


def _unreadable(path: Path, error: Exception) -> ConfigurationError:
    if isinstance(error, FileNotFoundError):
        return _cannot_read(path, "there is no such file", "Create it, or name another file")
    return _cannot_read(path, (error.strerror or "").lower() if isinstance(error, OSError) else "it is no path")


def _cannot_read(path: Path, why: str, fix: str = "") -> ConfigurationError:
    return ConfigurationError(f"cannot read {quote(path.name or path)}", why=why, fix=fix)


# --- what a file says -----------------------------------------------------------------------------------------------

_TOP: Final = (
    "trust_domain", "authority", "status_uri", "environment", "forbid", "ask", "agents", "data", "place", "flow",
    "limits", "audit", "approval",
)  # fmt: skip
_AGENT: Final = ("owner", "purpose", "allow", "ask", "ttl_minutes")
_WINDOWS: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_LIMITS: Final[Mapping[str, tuple[Unit, timedelta]]] = {
    f"{unit}_per_{name}": (unit, window) for unit in get_args(Unit) for name, window in _WINDOWS.items()
}
_MAX_LIMIT: Final = 2**63 - 1
_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)

_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
_STATUS_URI: Final = re.compile(r"(?=.{1,512}\Z)[a-z][a-z0-9+.-]*:[!#-;=?-\[\]_a-z~]+")
_KEY_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # one letter alone is a drive of Windows


def parse(text: str, *, source: Path) -> Config:
    """
    Read the text of a configuration file; relative paths in it start at the folder of *source*.

    Raises:
        ConfigurationError: The text is wrong.
        MissingExtraError: This is Python 3.10 without the `toml` extra.
    """
    source = source.absolute()
    top = _top(Document(text, source.name))
    agents = {name: _agent(name, table) for name, table in top.agents("agents", _AGENT)}
    data = tuple(_data(table) for table in top.array("data", ("resource", "labels", "origin")))
    labels = {label for rule in data for label in rule.labels}
    audit = top.table("audit", ("path",))
    timeout = top.table("approval", ("timeout_seconds",)).whole(
        "timeout_seconds", MAX_APPROVAL_TIMEOUT // _SECOND, DEFAULT_APPROVAL_TIMEOUT // _SECOND
    )
    return Config(
        source=source,
        trust_domain=_trust_domain(top),
        authority=source.parent / _authority(top),
        environment=top.name("environment", ""),
        status_uri=_status_uri(top),
        agents=MappingProxyType(agents),
        forbid=top.permissions("forbid", constrained=False),
        ask=top.permissions("ask", constrained=False),
        data=data,
        places=tuple(_place(table) for table in top.array("place", ("resource", "kind"))),
        flows=tuple(_flow(table, labels) for table in top.array("flow", ("label", "to", "then"))),
        limits=MappingProxyType({name: _limits(table) for name, table in top.agents("limits", _LIMITS, agents)}),
        audit=source.parent / audit.text("path") if "audit" in top.data else None,
        approval_timeout=timedelta(seconds=timeout),
    )


def _top(document: Document) -> Table:
    if document.name != PYPROJECT:
        return Table(document, (), document.data, "", _TOP)
    tool = document.data.get("tool")
    if not isinstance(tool, dict) or "agentid" not in tool:
        raise ConfigurationError(f"{PYPROJECT}: there is no table [tool.agentid]")
    ours = cast("dict[str, object]", tool)["agentid"]
    return Table(document, ("tool", "agentid"), ours, "[tool.agentid]", _TOP)


def _trust_domain(top: Table) -> str:
    text = top.text("trust_domain", DEFAULT_TRUST_DOMAIN)
    name = text.lower() if text.isascii() else text
    if not _TRUST_DOMAIN.fullmatch(name):
        must = "1 to 255 letters, digits, `.`, `_` and `-`"
        raise top.wrong("trust_domain", must, fix='Write it like trust_domain = "acme.example"')
    return name


def _authority(top: Table) -> str:
    text = top.text("authority", DEFAULT_AUTHORITY)
    if _KEY_URI.match(text):
        must = "the path of a key file: this version knows no key URIs"
        raise top.wrong("authority", must, fix=f'Write it like authority = "{DEFAULT_AUTHORITY}"')
    return text


def _status_uri(top: Table) -> str | None:
    if "status_uri" not in top.data:
        return None
    text = top.text("status_uri")
    if not _STATUS_URI.fullmatch(text):
        fix = 'Write it like status_uri = "https://acme.example/status/1"'
        raise top.wrong("status_uri", "a URI of at most 512 characters", fix=fix)
    return text


def _agent(name: str, table: Table) -> AgentEntry:
    return AgentEntry(
        name=name,
        owner=table.text("owner", ""),
        purpose=table.text("purpose", ""),
        allow=table.permissions("allow"),
        ask=table.permissions("ask"),
        ttl=timedelta(minutes=table.whole("ttl_minutes", _DAY // _MINUTE, DEFAULT_TTL // _MINUTE)),
    )


def _data(table: Table) -> DataRule:
    origin: Origin | None = table.word("origin", get_args(Origin)) if "origin" in table.data else None
    return DataRule(table.pattern("resource"), table.names("labels"), origin)


def _place(table: Table) -> PlaceRule:
    return PlaceRule(table.pattern("resource"), table.word("kind", get_args(PlaceKind)))


def _flow(table: Table, labels: Collection[str]) -> FlowRule:
    label = table.text("label")
    if label not in labels:
        fix = hint(label, labels) or "Give it to some [[data]]"
        raise table.error("label", f"unknown label {quote(label)} {table.inside}", fix=fix)
    return FlowRule(label, table.word("to", get_args(PlaceKind)), table.word("then", ("deny", "ask"), "deny"))


def _limits(table: Table) -> tuple[Limit, ...]:
    return tuple(Limit(*_LIMITS[key], table.whole(key, _MAX_LIMIT)) for key in table.data)

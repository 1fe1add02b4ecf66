"""
Puts other permissions into the text of a configuration file, and leaves every other byte as it is.

Only the values of `allow` and `ask` of agents are replaced, or added where there are none, and agents are added. What
is there is found by reading the text token by token, and the result is read again: it must say what was there before,
and the new lists. Where that cannot be had, or a comment of somebody's would be lost, nothing is changed and the error
says why.

This is pure: text in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from agentid.config import AgentEntry, Config
from agentid.config.reader import PYPROJECT, parse
from agentid.config.toml import TOKEN, unquote
from agentid.errors import ConfigurationError, quote

__all__ = ["Grants", "with_grants"]

Grants = Mapping[str, Any]
"""What must stand in the result for one agent: `allow` and `ask` as permissions, of a new agent also its `owner`."""

_OPENING: Final = frozenset("[{")
_CLOSING: Final = frozenset("]}")


def with_grants(
    text: str,
    source: Path,
    lists: Mapping[str, Mapping[str, str]],
    wanted: Mapping[str, Grants],
    *,
    may_go: Callable[[str], bool],
) -> str:
    """
    Put *lists* into the text of a configuration.

    Args:
        text: Of the file.
        source: The file, for its name and for what paths in it are relative to.
        lists: For each agent, the text of `allow` and of `ask`, of a new agent also of `owner`.
        wanted: What those say.
        may_go: Whether a comment inside a list that is replaced may go with it.

    Raises:
        ConfigurationError: It cannot be done without losing something.
    """
    before = parse(text, source=source)
    newline = "\r\n" if "\r\n" in text else "\n"
    root = ("tool", "agentid", "agents") if source.name == PYPROJECT else ("agents",)
    statements = list(_statements(text))
    changes: list[tuple[int, int, str]] = []
    for agent, values in lists.items():
        for name, value in values.items():
            # A suggestion is a new list; an empty one need not be added.
            found = next((one for one in statements if one.path == (*root, agent, name)), None)
            shown = value.replace("\n", newline)
            if found is not None:
                _check_comments(text, found, source.name, may_go)
                changes.append((found.start, found.end, shown))
            elif value != "[]" and agent in before.agents:
                header = next((one for one in statements if one.path == (*root, agent) and one.is_header), None)
                if header is None:
                    raise _refused(source.name, f"the agent {quote(agent)} is not written as a table of its own")
                place = _end_of_line(text, header.end)
                changes.append((place, place, f"{newline}{name} = {shown}"))
        if agent not in before.agents:
            table = [f"[{'.'.join((*root, _key(agent)))}]", *(f"{name} = {value}" for name, value in values.items())]
            gap = "" if not text else newline if text.endswith("\n") else newline * 2
            changes.append((len(text), len(text), gap + newline.join(table).replace("\n", newline) + newline))
    result = text
    # From the end, so that places before stay where they are; of several at one place the last comes first.
    changes.sort(key=lambda change: change[:2])
    for start, end, new in reversed(changes):
        result = result[:start] + new + result[end:]
    _check(before, result, source, wanted)
    return result


class _Statement(NamedTuple):
    """
    A header or a key with its value.

    Attributes:
        path: The names from the top.
        start: Where its value begins in the text.
        end: Where that ends; of a header, the end of its line's text.
        is_header: Whether it is one.
    """

    path: tuple[str, ...]
    start: int
    end: int
    is_header: bool


def _statements(text: str) -> Iterator[_Statement]:
    """The statements of valid TOML, those inside of inline tables and arrays left out."""
    table: tuple[str, ...] = ()
    line: list[re.Match[str]] = []
    depth = 0
    for token in _with_end(text):
        word = "\n" if token is None else token[0]
        if token is not None and token.lastgroup == "skip":
            continue
        if word == "\n" and depth == 0:
            if line:
                one = _statement(line, table)
                table = one.path if one.is_header else table
                yield one
            line = []
        elif token is not None:
            depth += (word in _OPENING) - (word in _CLOSING)
            if word != "\n":
                line.append(token)


def _with_end(text: str) -> Iterator[re.Match[str] | None]:
    yield from TOKEN.finditer(text)
    yield None


def _statement(line: list[re.Match[str]], table: tuple[str, ...]) -> _Statement:
    words = [token[0] for token in line]
    if words[0] == "[":
        path = tuple(unquote(word) for word in words if word not in {"[", "]", "."})
        return _Statement(path, line[0].start(), line[-1].end(), is_header=True)
    equals = words.index("=")
    path = tuple(unquote(word) for word in words[:equals] if word != ".")
    return _Statement((*table, *path), line[equals + 1].start(), line[-1].end(), is_header=False)


def _end_of_line(text: str, place: int) -> int:
    end = text.find("\n", place)
    if end < 0:
        return len(text)
    return end - 1 if text[end - 1] == "\r" else end


def _check_comments(text: str, found: _Statement, name: str, may_go: Callable[[str], bool]) -> None:
    for token in TOKEN.finditer(text, found.start, found.end):
        if token.lastgroup == "skip" and token[0].startswith("#") and not may_go(token[0].strip()):
            line = text.count("\n", 0, token.start()) + 1
            raise ConfigurationError(
                f"{name}, line {line}: there is a comment inside of a list that is to be replaced",
                why="it would be lost",
                fix="Move it above the list",
            )


def _check(before: Config, result: str, source: Path, wanted: Mapping[str, Grants]) -> None:
    try:
        after = parse(result, source=source)
    except ConfigurationError:
        raise _refused(source.name, "with the new lists it could not be read any more") from None
    agents = dict(before.agents)
    for name, grants in wanted.items():
        agents[name] = replace(agents.get(name, AgentEntry(name)), **grants)
    if replace(before, agents=agents) != replace(after, agents=dict(after.agents)):
        raise _refused(source.name, "with the new lists it would say something else")


def _refused(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} was not changed", why=why, fix="Run `agentid suggest`, and put what it prints into the file by hand"
    )


def _key(name: str) -> str:
    return name if "." not in name else f'"{name}"'

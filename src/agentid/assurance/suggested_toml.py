"""
A suggestion as the text of `agentid.toml`, with a comment for what each line rests on.

The text of each list is all there is to it, comments included, so that it can take the place of one in a file. Text
from outside cannot end a string or a comment: what is not plain to see is written as an escape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from agentid.assurance.evidence import Evidence
from agentid.assurance.least_privilege import AgentSuggestion, Line, Suggestion

__all__ = ["is_suggested", "lists_of", "quoted", "table_of", "text_of"]

_MARKS: Final = ("danger", "seen", "kept", "names", "never used", "refused", "also by", "several agents")
_OURS: Final = re.compile(rf"# (?:{'|'.join(_MARKS)}): ")
_SHOWN_TOOLS: Final = 3
_DEFAULT_DOMAIN: Final = "localhost"
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\"}


def is_suggested(comment: str) -> bool:
    """Whether *comment* is one that a suggestion wrote, and another suggestion may replace."""
    return _OURS.match(comment) is not None


def text_of(suggestion: Suggestion, *, only_ascii: bool = False, is_new: bool = True) -> str:
    """
    Give a file of what is suggested.

    Args:
        suggestion: What to write.
        only_ascii: Write other characters as escapes, for an output that cannot show them.
        is_new: Whether there is no configuration yet, so that this is all of it.
    """
    lines = [*_head(suggestion, is_new=is_new)]
    if is_new and suggestion.trust_domain not in {"", _DEFAULT_DOMAIN}:
        lines += ["", f"trust_domain = {quoted(suggestion.trust_domain)}"]
    for agent in suggestion.agents:
        lines += ["", *table_of(agent)]
    text = "\n".join(lines) + "\n"
    return text if not only_ascii or text.isascii() else _ascii(text)


def _head(suggestion: Suggestion, *, is_new: bool) -> Iterator[str]:
    yield f"# Suggested from {_count(suggestion.runs, 'run')} with {_count(suggestion.calls, 'call')}."
    if not is_new:
        yield "# These are the agents alone: `agentid suggest --write` puts them into the file and keeps the rest."
    if suggestion.unseen:
        yield f"# Not seen, and not spoken of: {_comment(', '.join(suggestion.unseen))}."
    if suggestion.unnamed:
        calls = _count(sum(suggestion.unnamed.values()), "call")
        tools = [_comment(tool) for tool in suggestion.unnamed]
        more = f" and {len(tools) - _SHOWN_TOOLS} more" if len(tools) > _SHOWN_TOOLS else ""
        shown = ", ".join(tools[:_SHOWN_TOOLS]) + more
        yield f"# {calls} touched what no permission can name, and will be refused: {shown}."
    if suggestion.second_doors:
        times = _count(suggestion.second_doors, "time")
        yield f"# Seen {times} around the wrapped libraries, where no permission is asked for: `agentid audit show`."
    if suggestion.unreadable:
        yield f"# {_count(suggestion.unreadable, 'access')} could not be read from the records."
    if suggestion.strangers:
        yield f"# Agents whose names cannot stand here: {_comment(', '.join(suggestion.strangers))}."
    dangerous = [
        (agent.name, name, line)
        for agent in suggestion.agents
        for name, lines in (("allow", agent.allow), ("ask", agent.ask))
        for line in lines
        if line.dangers
    ]
    if dangerous:
        yield "#"
        yield "# Look at these first:"
        for agent, name, line in dangerous:
            yield f"#   {agent}: {name} {_comment(line.permission)}: {_comment('; '.join(line.dangers))}"


def table_of(agent: AgentSuggestion) -> list[str]:
    """The table of one agent, as lines."""
    found = [f"[agents.{_key(agent.name)}]"]
    found += [f"{key} = {quoted(text)}" for key, text in (("owner", agent.owner), ("purpose", agent.purpose)) if text]
    if agent.ttl_minutes is not None:
        found.append(f"ttl_minutes = {agent.ttl_minutes}")
    for name, value in lists_of(agent).items():
        found += f"{name} = {value}".split("\n")
    return found


def lists_of(agent: AgentSuggestion) -> dict[str, str]:
    """The values of `allow` and `ask`, comments included."""
    about = [f"# also by: its sub-agents {', '.join(map(_comment, agent.sub_agents))}"] if agent.sub_agents else []
    if len(agent.ids) > 1:
        about.append(f"# several agents: {', '.join(map(_comment, agent.ids))}")
    refused = [
        f"# refused: {_comment(one.access)} ({_comment(one.reason)}), {_comment(one.evidence)}" for one in agent.refused
    ]
    return {
        "allow": _list([*about, *_entries(agent.allow), *_unused(agent, "allow"), *refused]),
        "ask": _list([*_entries(agent.ask), *_unused(agent, "ask")]),
    }


def _list(lines: list[str]) -> str:
    return "\n".join(["[", *(f"    {line}" for line in lines), "]"]) if lines else "[]"


def _entries(lines: Iterable[Line]) -> Iterator[str]:
    for line in lines:
        yield from (f"# danger: {_comment(why)}" for why in line.dangers)
        if line.by_name:
            yield f"# names: {_comment(_some(line.evidence))}; `*` is any other name, too"
        yield f"# {'kept' if line.is_kept else 'seen'}: {_comment(line.evidence)}"
        yield f"{quoted(str(line.permission))},"


def _unused(agent: AgentSuggestion, name: str) -> Iterator[str]:
    yield from (f"# never used: {_comment(permission)}" for permission in agent.unused.get(name, ()))


def _some(evidence: Evidence) -> str:
    names = sorted(map(str, evidence.resources))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _count(number: int, word: str) -> str:
    many = f"{word}es" if word.endswith("s") else f"{word}s"
    return f"{number} {word if number == 1 else many}"


# --- text of others -------------------------------------------------------------------------------------------------


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def quoted(text: str) -> str:
    """*text* as a string of TOML."""
    return f'"{"".join(_character(c) for c in text)}"'


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else _escaped(character)


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\U{number:08x}" if number > 0xFFFF else f"\\u{number:04x}"


def _comment(text: object) -> str:
    return "".join(c if c.isprintable() else _escaped(c) for c in str(text))


def _ascii(text: str) -> str:
    # Everything else here is ASCII, so these stand in strings and in comments.
    return "".join(c if c.isascii() else _escaped(c) for c in text)

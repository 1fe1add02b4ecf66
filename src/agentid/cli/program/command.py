"""What a command runs, by its words alone: the options of Python, the program, and a name for it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["flags_of", "name_of", "name_of_command"]

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")
_PYTHON: Final = re.compile(r"(?:python|pypy)w?[0-9.]*t?(?:\.exe)?", re.IGNORECASE)
_LONGEST: Final = 64
_TAKES_VALUE: Final = frozenset("WX")
_LAST: Final = frozenset("cm")


def flags_of(command: Sequence[str]) -> list[str]:
    """Give the options of the interpreter itself in a command that starts one, such as `-X dev` and `-O`."""
    return _split(command)[0]


def name_of(program: Sequence[str]) -> str:
    """Name an agent after its program, as Python takes it: the file without its ending, or the module."""
    first, *rest = program
    if first == "-":
        return "stdin"
    if first.startswith("-c"):
        return "python-c"
    if first.startswith("-m"):
        name = first[2:] or rest[0]
    else:
        path = Path(first).absolute()
        name = path.parent.name if path.stem == "__main__" else path.stem
    return _plain(name) or "program"


def name_of_command(command: Any) -> str:
    """Name what a command starts, whose words may be texts, bytes or paths; empty if it cannot be told."""
    try:
        words: list[Any] = [command] if isinstance(command, (str, bytes, os.PathLike)) else list(command)
        first, *rest = map(os.fsdecode, words)
    except (TypeError, ValueError):
        return ""  # which the call will refuse
    if not _PYTHON.fullmatch(Path(first).name):
        return _plain(Path(first).stem)
    _, program = _split([first, *rest])
    return name_of(program) if program and program != ["-m"] else _plain(Path(first).name)


def _plain(name: str) -> str:
    return _NO_NAME.sub("-", name)[:_LONGEST].strip("-.")


def _split(command: Sequence[str]) -> tuple[list[str], list[str]]:
    """Cut a command that starts Python into its options and the program."""
    flags: list[str] = []
    words = list(command[1:])
    while words:
        word = words[0]
        if not word.startswith("-") or word == "-":
            break
        del words[0]
        if word == "--":
            break
        if word.startswith("--"):
            flags.append(word)
            if word == "--check-hash-based-pycs" and words:
                flags.append(words.pop(0))
            continue
        kept = ""
        for position, letter in enumerate(word[1:], start=1):
            if letter in _LAST:
                return [*flags, f"-{kept}"] if kept else flags, [f"-{word[position:]}", *words]
            if letter in _TAKES_VALUE:
                value = word[position + 1 :] or (words.pop(0) if words else "")
                flags += ([f"-{kept}"] if kept else []) + [f"-{letter}{value}"]
                kept = ""
                break
            kept += letter
        if kept:
            flags.append(f"-{kept}")
    return flags, words

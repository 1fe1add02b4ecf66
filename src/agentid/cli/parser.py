"""How arguments are read: a mistake is one line that names the nearest right word, and no option is abbreviated."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from agentid.errors import ConfigurationError, nearest, one_line, quote

__all__ = ["Parser", "minutes"]

_MOST_MINUTES = 24 * 60


class Parser(argparse.ArgumentParser):
    """
    An argument parser whose errors are ours.

    Raises:
        ConfigurationError: While parsing: an argument is missing, unknown or not what it must be.
    """

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("allow_abbrev", False)
        super().__init__(**settings)
        self._program = ""

    def takes_program(self, name: str) -> None:
        """Take everything from the first word on that is no option as it is: the program *name* and its arguments."""
        self._program = name

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Read what is known; see `argparse`."""
        if not self._program:
            return super().parse_known_args(args, namespace)
        ours, program = self._split(list(args))
        found, unknown = super().parse_known_args(ours, namespace)
        setattr(found, self._program, program)
        return found, unknown

    def _split(self, words: list[str]) -> tuple[list[str], list[str]]:
        position = 0
        while position < len(words):
            word = words[position]
            if word == "--":
                return words[:position], words[position + 1 :]
            if not word.startswith("-") or word == "-" or word.startswith(("-m", "-c")):
                break
            action = self._option_string_actions.get(word)
            position += 2 if action is not None and action.nargs is None else 1
        return words[:position], words[position:]

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Read the arguments; what is unknown is compared with what the command knows."""
        known, unknown = self.parse_known_args(arguments)
        if unknown:
            # The parser of the command says what it knows: this one only knows commands.
            asked: Parser = getattr(known, "parser", self)
            raise asked._unknown(unknown)
        return known

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments."""
        raise ConfigurationError(one_line(message, limit=300), fix=f"Run `{self.prog} --help`")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices: Iterable[Any] = action.choices
            what = (action.metavar if isinstance(action.metavar, str) else action.dest).lower()
            raise ConfigurationError(f"there is no {what} {quote(value)}", fix=nearest(str(value), map(str, choices)))

    def _unknown(self, arguments: Sequence[str]) -> ConfigurationError:
        word = arguments[0]
        options = [option for action in self._actions for option in action.option_strings]
        if not word.startswith("-"):
            return ConfigurationError(f"`{self.prog}` takes no argument {quote(word)}", fix=f"Run `{self.prog} --help`")
        return ConfigurationError(
            f"`{self.prog}` has no option {quote(word)}", fix=nearest(word.partition("=")[0], options)
        )


def minutes(text: str) -> int:
    """
    Read a lifetime in minutes.

    Raises:
        ArgumentTypeError: It is not a whole number of minutes within a day.
    """
    try:
        value = int(text) if text.isascii() and len(text) <= 9 else 0
    except ValueError:
        value = 0
    if not 1 <= value <= _MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"it takes a whole number of minutes from 1 to {_MOST_MINUTES}")
    return value

"""
Advice that an error gives names only what exists.

The texts are collected from the source: every `fix=`, and all texts of refusals. Whatever looks like code in
them, such as `Guard.from_config(…)`, ttl= or `agentid identity issue NAME`, is looked up.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import shutil
from pathlib import Path

import pytest

import agentid
from agentid.cli import _parser
from agentid.config import reader as config_reader
from agentid.guard import Session
from agentid.permission import ACTIONS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "agentid"
FILLED_IN = "x1"  # stands for what an f-string fills in
ELLIPSIS = "…"

# How advice calls an object of a class.
OBJECTS = {"guard": agentid.Guard, "session": Session, "authority": agentid.Authority, "agent": agentid.Agent}
# Words of formats and standards, in backticks because they are written exactly so.
WORDS = {
    *("ES256", "Ed25519", "UTF-8", ".", "_", "-", "support-bot"),
    *("where", "name", "path", "attribute", "process", "disk"),
}


# --- collecting -------------------------------------------------------------------------------------


def text_of(node, constants):
    """The text of an expression, with `FILLED_IN` for what is not known before it runs; None if there is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part, constants) or FILLED_IN for part in node.values)
    if isinstance(node, ast.BinOp):
        return f"{text_of(node.left, constants) or ''}{text_of(node.right, constants) or ''}"
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    return None


def texts_of(node, constants):
    """The texts of an expression: of both sides of `a if b else c` and of `a or b`."""
    if isinstance(node, ast.IfExp):
        return [*texts_of(node.body, constants), *texts_of(node.orelse, constants)]
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in texts_of(value, constants)]
    text = text_of(node, constants)
    return [text] if text else []


def is_fix(node):
    """Whether this is `fix=…` in a call, or `fix = …`."""
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)] == ["fix"]
    return isinstance(node, ast.keyword) and node.arg == "fix"


def advice():
    """Yield file with line, and text, of each piece of advice in the source."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            target.id: text_of(node.value, {})
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name) and target.id != "fix" and node.value is not None
        }
        for node in ast.walk(tree):
            found = []
            if is_fix(node):
                found = texts_of(node.value, constants)
            elif path.name == "explain.py" and isinstance(node, ast.Return) and node.value is not None:
                values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
                found = [text for value in values for text in texts_of(value, constants)]
            where = path.relative_to(SOURCE).as_posix()
            yield from ((f"{where}:{node.value.lineno}", text) for text in found)


ADVICE = sorted(set(advice()))


# --- looking up -------------------------------------------------------------------------------------


def keywords():
    """The names of all arguments that something public takes."""
    callables = [getattr(agentid, name) for name in agentid.__all__ if name != "__version__"]
    for value in [*callables, *OBJECTS.values()]:
        members = [value, *(getattr(value, n) for n in dir(value) if not n.startswith("_") and inspect.isclass(value))]
        for member in members:
            try:
                yield from inspect.signature(member).parameters
            except (TypeError, ValueError):
                continue


def other_keywords():
    """Those of functions and classes that are public by their module, such as an audit log's."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                public = node.name == "__init__" or not node.name.startswith("_")
                yield from (argument.arg for argument in node.args.kwonlyargs if public)


KEYWORDS = {*keywords(), *other_keywords()}
KEYS = {*config_reader._TOP, *config_reader._AGENT, *config_reader._LIMITS, "where", "permission"}
VARIABLES = {
    name for path in SOURCE.rglob("*.py") for name in re.findall(r'"(AGENTID_[A-Z_]+)"', path.read_text("utf-8"))
}
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
EXTRAS = re.findall(r"^(\w+) = \[", PROJECT.partition("optional-dependencies]")[2], re.MULTILINE)


def unknown_in_expression(node):
    """What does not exist of the names, attributes and keywords in a Python expression."""
    for child in ast.walk(node):
        if isinstance(child, ast.Attribute):
            owner = child.value
            if isinstance(owner, ast.Name) and (owner.id in OBJECTS or owner.id in agentid.__all__):
                value = OBJECTS.get(owner.id) or getattr(agentid, owner.id)
                if not hasattr(value, child.attr):
                    yield f"{owner.id}.{child.attr}"
            elif not isinstance(owner, ast.Name) or owner.id not in {FILLED_IN, "timedelta"}:
                yield ast.unparse(child)
        elif isinstance(child, ast.Call):
            function = child.func
            target = (
                getattr(agentid, function.id, None)
                if isinstance(function, ast.Name)
                else getattr(
                    OBJECTS.get(function.value.id) or getattr(agentid, function.value.id, None), function.attr, None
                )
                if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)
                else None
            )
            if target is not None:
                known = inspect.signature(target).parameters
                anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
                yield from (f"{k.arg}=" for k in child.keywords if k.arg not in known and not anything)
        elif isinstance(child, ast.Name):
            word = child.id
            known = (
                word in agentid.__all__
                or word in OBJECTS
                or word in KEYWORDS
                or word in KEYS
                or word in WORDS
                or word in ACTIONS
                or word in {FILLED_IN, "timedelta"}
                or re.fullmatch(rf"{FILLED_IN}\w*|\w*{FILLED_IN}", word)
            )
            if not known:
                yield word


def below(parser):
    """The commands of a parser by their name."""
    return {
        name: inner
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, inner in action.choices.items()
    }


def options(path=()):
    """The options of all commands."""
    parser = _parser(path)
    for word in path:
        parser = below(parser)[word]
    yield from (option for action in parser._actions for option in action.option_strings)
    for name in below(parser):
        yield from options((*path, name))


OPTIONS = set(options())


def unknown_in_command(text):
    """What does not exist of a command line of ours."""
    words = text.split()[1:]
    parser = _parser(words)
    while words and not words[0].startswith("-") and not words[0].isupper():
        if words[0] not in below(parser):
            yield words[0]
            return
        parser = below(parser)[words.pop(0)]
    known = {option for action in parser._actions for option in action.option_strings}
    arguments = {action.metavar for action in parser._actions}
    yield from (word for word in words if word not in known | arguments)


def unknown_in_code(text):
    """What does not exist in one piece of code."""
    if text in WORDS or FILLED_IN == text or text in KEYS | KEYWORDS or text.endswith((".toml", "://")):
        return
    first = text.split()[0]
    if first in {"agentid", FILLED_IN}:
        yield from unknown_in_command(text)
    elif first == "pip":
        yield from (extra for extra in re.findall(r"\[([\w,]+)\]", text) if extra not in EXTRAS)
    elif text.startswith(("{", "[")):  # placeholders and tables are only shapes
        yield from (word for word in re.findall(r"\w+", text) if word not in WORDS | KEYS and FILLED_IN not in word)
    elif " " in text and re.fullmatch(r"[a-z]+", first) and first != "with":
        if shutil.which(first) is None:
            yield first
    else:
        python = text.replace(ELLIPSIS, "...")
        python = f"{python} pass" if python.endswith(":") else python
        try:
            tree = ast.parse(python)
        except SyntaxError:
            yield text
            return
        yield from unknown_in_expression(tree)


BACKTICKS = re.compile(r"`([^`]+)`")
# Outside of backticks: a call or an attribute, a keyword argument, an option, a name in camel case, a variable.
PLAIN_CODE = re.compile(
    r"@?[A-Za-z_][\w.]*\.\w+\([^)]*\)|@?\b[A-Za-z_]\w*\([^)]*\)|\b[A-Z]\w+\.[a-z]\w*"
    r"|\b[a-z_]+(?==)|--[a-z-]+|\b[A-Z][a-z]+[A-Z]\w+|\bpip install \S+|\b[A-Z]+_[A-Z_]+\b"
)


def unknown_in(text):
    """What a piece of advice names that does not exist."""
    found = []
    for code in BACKTICKS.findall(text):
        found += unknown_in_code(code)
    for code in PLAIN_CODE.findall(BACKTICKS.sub("", text)):
        if code.startswith("--"):
            found += [] if code in OPTIONS else [code]
        elif code.isupper():
            found += [] if code.startswith("OTEL_") or code in VARIABLES else [code]
        elif code.startswith("pip "):
            found += unknown_in_code(code.replace("'", ""))
        elif re.fullmatch(r"[a-z_]+", code):
            found += [] if code in KEYWORDS | KEYS else [code]
        elif not code.startswith("http"):
            found += unknown_in_code(code.lstrip("@"))
    return found


# --- the tests --------------------------------------------------------------------------------------


def test_advice_is_found_all_over_the_source():
    files = {where.partition(":")[0] for where, _ in ADVICE}

    assert len(ADVICE) > 60
    assert {"guard/explain.py", "guard/guard.py", "identity/trust.py", "cli/identity.py", "permission.py"} <= files


@pytest.mark.parametrize(("where", "text"), ADVICE, ids=[where for where, _ in ADVICE])
def test_advice_names_only_what_exists(where, text):
    assert [] == unknown_in(text), f"{where}: {text}"


@pytest.mark.parametrize(("where", "text"), ADVICE, ids=[where for where, _ in ADVICE])
def test_advice_is_one_line_that_begins_with_a_capital_and_leaves_the_full_stop_to_the_error(where, text):
    assert "\n" not in text
    assert not text.endswith("."), where


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("Wrap it in `root_task(…)`", ["root_task"]),
        ("Call it inside `with guard.acting_for(agent):`", ["guard.acting_for"]),
        ("Use `Guard.from_configuration(…)`", ["Guard.from_configuration"]),
        ("Use Guard.from_configuration(…)", ["Guard.from_configuration"]),
        ("Pass Policy(forbids=[…])", ["forbids="]),
        ("Pass `TerminalAprover()`", ["TerminalAprover"]),
        ("Pass approvr= to `Guard`", ["approvr"]),
        ("Run `agentid identiy issue NAME`", ["identiy"]),
        ("Run `agentid identity isue NAME`", ["isue"]),
        ("Run `agentid identity issue --alow PERMISSION`", ["--alow"]),
        ("Or give them with --alow", ["--alow"]),
        ("Run: pip install '.[tomll]'", ["tomll"]),
        ("Write `{name:paths}`", ["paths"]),
        ('Write @require("read:…")', ["require"]),
        ("Run `chmodd 600 x`", ["chmodd"]),
    ],
)  # fmt: skip
def test_advice_that_names_what_does_not_exist_is_found(text, unknown):
    assert unknown == unknown_in(text)

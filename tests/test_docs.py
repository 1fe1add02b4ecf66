"""
What the documentation shows, it does: examples are run, outputs compared, configurations read, commands called.

A page is read from top to bottom, as a reader would follow it: its Python examples share one module, and its
files and commands one folder, which is empty at first. A block that cannot be run says why, in a comment right
above it: `<!-- not executed: … -->`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import io
import itertools
import os
import re
import shlex
import sqlite3
import sys
import tempfile
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import agentid
from agentid import errors
from agentid.cli import _parser, main
from agentid.config import Config
from agentid.constraint import _MAKERS
from agentid.policy import REASONS
from agentid.record import attributes as attribute_names
from agentid.testing import acting_as

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LINKING = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((DOCS / "adr").glob("*.md"))]
LANGUAGES = {"sh", "python", "text", "toml", "console", "json"}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


# --- reading pages ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, first line, the line of text before it, and why it is not executed."""

    language: str
    text: str
    line: int
    before: str
    excuse: str


def blocks_of(text):
    """The fenced blocks of a page."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        if not (opened := re.match(r"( *)```(.*)", lines[number])):
            number += 1
            continue
        start = number + 1
        number = next(n for n in range(start, len(lines)) if lines[n].strip() == "```")
        above = [line for line in lines[: start - 1] if line.strip()]
        excuse = re.fullmatch(r"<!-- not executed: (.+) -->", above[-1].strip()) if above else None
        inner = "\n".join(line.removeprefix(opened[1]) for line in lines[start:number])
        before = "\n".join(above[-2:-1] if excuse else above[-1:])
        yield Block(opened[2], inner, start + 1, before, excuse[1] if excuse else "")
        number += 1


def sections_of(text):
    """The sections of a page by their heading, code ticks taken off."""
    found = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {heading.replace("`", ""): body for heading, body in zip(found[1::2], found[2::2], strict=True)}


def rows_of(table):
    """The rows of the first table in a text, without its head, as lists of cells."""
    lines = list(itertools.dropwhile(lambda line: not line.startswith("|"), table.splitlines()))
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|"))] for row in rows]
    return cells[2:]


# --- following a page -------------------------------------------------------------------------------


class Reader:
    """Somebody who follows a page in an empty folder."""

    def __init__(self, page):
        self.page = page
        self.module = types.ModuleType(f"followed_{page.stem}")
        self.printed = ""

    def follow(self, block):
        getattr(self, f"follow_{block.language}")(block)

    def follow_python(self, block):
        # With as many lines before it as the page has, so that a traceback names the line of the page.
        code = compile("\n" * (block.line - 1) + block.text, str(self.page), "exec")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(code, self.module.__dict__)
        self.printed = out.getvalue()

    def follow_text(self, block):
        if block.before.rstrip().endswith("It prints:"):
            assert block.text == self.printed.rstrip("\n")

    def follow_toml(self, block):
        name = "pyproject.toml" if "[tool.agentid" in block.text else "agentid.toml"
        Path(name).write_text(block.text, encoding="utf-8")
        assert Config.load(name).source == Path(name).absolute()

    def follow_json(self, block):
        import json

        assert json.loads(block.text)

    def follow_console(self, block):
        lines = block.text.splitlines()
        assert lines[0].startswith("$ ")
        for position, line in enumerate(lines):
            if line.startswith("$ "):
                shown = list(itertools.takewhile(lambda other: not other.startswith("$ "), lines[position + 1 :]))
                self.run(shlex.split(line[2:], comments=True), "\n".join(shown))

    def run(self, words, shown):
        program, *arguments = words
        if program == "agentid":
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                main(arguments)
            assert "internal error" not in out.getvalue()
            if shown:
                assert matches(shown, out.getvalue().rstrip("\n")), out.getvalue()
        else:
            check_command(program, arguments)
            assert not shown


def check_command(program, arguments):
    """Check that a command of the shell exists here: a verb of the Makefile, or pip with an extra that exists."""
    if program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        verbs = re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)
        variables = re.findall(r"\$\((?:if \$\()?([A-Z_]+)\)", makefile)
        for argument in arguments:
            name, _, value = argument.partition("=")
            assert argument in verbs or (value and name in variables), f"make knows no {argument}"
    elif program == "pip":
        project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        extras = re.findall(r"^(\w+) = \[", project.partition("optional-dependencies]")[2], re.MULTILINE)
        [verb, what] = arguments
        found = re.fullmatch(r"\.(?:\[([\w,]+)\])?", what)
        assert verb == "install"
        assert found
        assert set((found[1] or extras[0]).split(",")) <= set(extras)
    else:
        assert (ROOT / program).is_file(), f"no page can call {program}"


def matches(shown, printed):
    """Whether a shown output is the printed one; `...` stands for anything, within a line or for whole lines."""
    pattern = "".join(re.escape(part) if part != "..." else ".*" for part in re.split(r"(\.\.\.)", shown))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_can_be_followed_from_top_to_bottom(page, tmp_path, monkeypatch):
    """Its examples run and print what it says, its configurations are read, its commands exist."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the demo keeps its audit log
    monkeypatch.setenv("COLUMNS", "100")
    for name in list(os.environ):
        if name.startswith(("OTEL_", "AGENTID_")):
            monkeypatch.delenv(name)
    reader = Reader(page)
    monkeypatch.setitem(sys.modules, reader.module.__name__, reader.module)
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if not block.excuse:
            reader.follow(block)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_a_page_says_what_it_is_and_an_excuse_is_a_reason(page):
    for block in blocks_of(page.read_text(encoding="utf-8")):
        assert block.language in LANGUAGES, f"{name_of(page)}:{block.line}"
        assert not block.excuse or len(block.excuse.split()) >= 4
        assert all(len(line) <= 120 for line in block.text.splitlines()), f"{name_of(page)}:{block.line}"


@pytest.mark.parametrize(
    ("text", "goes_wrong"),
    [
        ("```python\nprint(1)\n```\nIt prints:\n```text\n1\n```\n", False),
        ("```python\nprint(1)\n```\nIt prints:\n```text\n2\n```\n", True),
        ("```python\nx = 1\n```\n```python\nprint(x)\n```\nIt prints:\n\n```text\n1\n```\n", False),
        ("```python\n1 / 0\n```\n", True),
        ("<!-- not executed: it divides by zero -->\n```python\n1 / 0\n```\n", False),
        ("```toml\n[agents.bot]\n```\n", False),
        ("```toml\n[agent.bot]\n```\n", True),
        ("```console\n$ agentid --version\nagentid ...\n```\n", False),
        ("```console\n$ agentid --version\nagentid 99\n```\n", True),
        ("```console\n$ agentid demmo\nagentid: ...`demo`?\n```\n", False),
        ("```console\n$ make demo FOLDER=x\n$ make test  # all\n```\n", False),
        ("```console\n$ make dmo\n```\n", True),
        ("```console\n$ make demo FLDER=x\n```\n", True),
        ("```console\n$ pip install '.[otlp]'\n```\n", False),
        ("```console\n$ pip install '.[otel]'\n```\n", True),
        ("```console\n$ rm -rf x\n```\n", True),
        ("```json\n{\n```\n", True),
    ],
)
def test_a_page_that_is_wrong_is_found(text, goes_wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reader = Reader(Path("page.md"))
    try:
        for block in blocks_of(text):
            if not block.excuse:
                reader.follow(block)
    except (Exception, AssertionError):
        assert goes_wrong
    else:
        assert not goes_wrong


# --- links ------------------------------------------------------------------------------------------

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def anchor(heading):
    """The anchor that a heading gets: lower case, punctuation taken out, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def broken_links(page):
    """Links of a page to files or headings that do not exist."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        found = target.exists() and target.is_relative_to(ROOT)
        if not found or (fragment and fragment not in map(anchor, sections_of(target.read_text(encoding="utf-8")))):
            yield link


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_links_lead_somewhere(page):
    assert [] == list(broken_links(page))


def test_a_broken_link_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "a.md").write_text("# A b, `c`\n[x](a.md#a-b-c) [y](b.md) [z](a.md#b) [w](https://x.example)\n")

    assert ["b.md", "a.md#b"] == list(broken_links(tmp_path / "a.md"))


def test_every_page_is_reached_from_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in LINK.findall(readme) if "://" not in link}

    assert [] == [name_of(page) for page in DOCS.glob("*.md") if page not in linked]


# --- README -----------------------------------------------------------------------------------------


def test_the_code_in_the_readme_is_the_quickstart():
    """Byte for byte, so that what is shown is what can be run."""
    source = (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")
    docstring = ast.parse(source).body[0]
    code = "\n".join(source.splitlines()[docstring.end_lineno :]).strip("\n")
    [shown] = [b for b in blocks_of((ROOT / "README.md").read_text(encoding="utf-8")) if b.language == "python"]

    assert code == shown.text


def test_the_readme_shows_how_to_begin():
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert "$ make demo\n$ make test\n" in text
    assert "docs/trace.svg" in text
    assert "not a sandbox" in text.lower()


# --- facts ------------------------------------------------------------------------------------------


def error_classes():
    """The errors, each after its parent, as they stand in the tree."""
    named = [getattr(errors, name) for name in errors.__all__]
    found = []

    def add(kind):
        found.append(kind)
        for child in kind.__subclasses__():
            if child in named:
                add(child)

    add(errors.Error)
    assert set(named) == set(found)
    return found


def made():
    """The names of what code of the library calls, or chooses to call by `a if b else c`."""
    for path in (ROOT / "src" / "agentid").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            chosen = (node.body, node.orelse) if isinstance(node, ast.IfExp) else ()
            called = (node.func,) if isinstance(node, ast.Call) else ()
            yield from (name.id for name in (*chosen, *called) if isinstance(name, ast.Name))


def test_the_table_of_errors_has_every_error_with_its_code_and_its_parent():
    rows = rows_of((DOCS / "errors.md").read_text(encoding="utf-8"))
    expected = [[f"`{kind.__name__}`", f"`{kind.code}`", f"`{kind.__base__.__name__}`"] for kind in error_classes()]

    assert expected == [row[:3] for row in rows]
    for row in rows:
        assert len(row) == 5
        assert all(row)


def test_an_error_that_is_said_not_to_be_raised_is_raised_by_no_code():
    rows = rows_of((DOCS / "errors.md").read_text(encoding="utf-8"))
    unused = {row[0].strip("`") for row in rows if "Not raised in this version" in row[4]}

    assert unused
    assert set() == unused & set(made())


def test_the_table_of_what_a_model_sees_is_what_it_sees():
    section = sections_of((DOCS / "errors.md").read_text(encoding="utf-8"))["What a model may see"]

    assert {f"`{kind.__name__}`": kind("x").for_model for kind in error_classes()} == {
        name: sentence.strip("`") for name, sentence in rows_of(section)
    }


def test_the_reasons_are_the_closed_list():
    section = sections_of((DOCS / "records.md").read_text(encoding="utf-8"))["Reasons"]

    assert [f"`{reason}`" for reason in REASONS] == [row[0] for row in rows_of(section)]


def test_the_table_of_attributes_is_what_spans_carry():
    """Whatever a span can carry is documented, and nothing else is."""
    section = sections_of((DOCS / "records.md").read_text(encoding="utf-8"))["Attributes of a span"]
    documented = {row[0].strip("`") for row in rows_of(section)}
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "src" / "agentid").rglob("*.py"))
    names = {name: value for name, value in vars(attribute_names).items() if isinstance(value, str)}
    dotted = {name: value for name, value in names.items() if re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)+", value)}
    used = {value for name, value in dotted.items() if re.search(rf"\bnames\.{name}\b", sources)}
    others = {attribute_names.DECISIONS, attribute_names.DECISION_DURATION, attribute_names.TOOL_DURATION}
    others |= {attribute_names.SECOND_DOOR}  # an event

    assert used - others - {attribute_names.PERMISSION_DENIED} == documented


def test_the_metrics_are_documented():
    section = sections_of((DOCS / "records.md").read_text(encoding="utf-8"))["Metrics"]
    expected = [attribute_names.DECISIONS, attribute_names.DECISION_DURATION, attribute_names.TOOL_DURATION]

    assert [f"`{name}`" for name in expected] == [row[0] for row in rows_of(section)]


def test_the_fields_of_a_record_are_documented():
    from agentid.record import AccessRecord

    section = sections_of((DOCS / "records.md").read_text(encoding="utf-8"))["The record of an access"]

    assert [f"`{name}`" for name in AccessRecord.__dataclass_fields__] == [row[0] for row in rows_of(section)]


def test_every_action_and_every_constraint_is_documented():
    from agentid.permission import ACTIONS

    sections = sections_of((DOCS / "permissions.md").read_text(encoding="utf-8"))

    assert [f"`{action}`" for action in ACTIONS] == [row[0] for row in rows_of(sections["Actions"])]
    assert list(_MAKERS) == [row[0].strip("`").partition("(")[0] for row in rows_of(sections["Constraints"])]


def test_the_keys_of_the_configuration_are_documented():
    from agentid.config import reader as config_reader

    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    top = {row[0].strip("`") for row in rows_of(sections_of(text)["The file"])}
    agent = {row[0].strip("`") for row in rows_of(sections_of(text)["An agent"])}

    assert set(config_reader._TOP) == top
    assert set(config_reader._AGENT) == agent


# --- command line -----------------------------------------------------------------------------------


def below(parser):
    """The commands of a parser by their name."""
    return {
        name: inner
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, inner in action.choices.items()
    }


def commands(path=()):
    """Every command of `agentid`, as a tuple of words, the outer ones first."""
    parser = _parser(path)
    for word in path:
        parser = below(parser)[word]
    yield path
    for name in below(parser):
        yield from commands((*path, name))


def test_the_page_of_the_command_line_shows_the_help_of_every_command(monkeypatch, capsys):
    """And of no other. Line breaks differ between versions of Python, so they do not count."""
    monkeypatch.setenv("COLUMNS", "100")
    sections = sections_of((DOCS / "cli.md").read_text(encoding="utf-8"))
    shown = {heading: body for heading, body in sections.items() if heading.startswith("agentid")}
    expected = [" ".join(("agentid", *path)) for path in commands()]

    assert expected == list(shown)
    for heading, body in shown.items():
        main([*heading.split()[1:], "--help"])
        help_text = next(block.text for block in blocks_of(body) if block.text.startswith("usage: "))
        assert capsys.readouterr().out.split() == help_text.split(), heading


def test_the_exit_codes_are_documented():
    section = sections_of((DOCS / "cli.md").read_text(encoding="utf-8"))["Exit codes"]

    assert ["0", "1", "2", "3", "4", "130", "141"] == [row[0] for row in rows_of(section)]


# --- words ------------------------------------------------------------------------------------------

OTHER_WORDS = re.compile(
    r"\b(principals?|warrants?|mandates?|passports?|badges?|verdicts?|ledger|interceptors?|control plane|taints?"
    r"|flight recorder|clearances?|capability tokens?|scope strings?|simply|just|easily|obviously)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_uses_one_word_for_one_thing(page):
    """The words are those of the glossary; and nothing is said to be easy."""
    prose = re.sub(r"^ *```.*?^ *```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)

    assert [] == [found[0] for found in OTHER_WORDS.finditer(prose)]


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=name_of)
def test_a_page_begins_with_what_it_is_for_and_ends_with_what_it_does_not_do(page):
    text = page.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip()]

    assert lines[0].startswith("# ")
    assert not lines[1].startswith(("#", "```", "|"))
    if page.stem not in {"errors", "cli"}:
        first = next(blocks_of(text))
        assert first.language in {"python", "toml", "console", "text"}
        assert "What it does not do" in sections_of(text)


# --- docstrings -------------------------------------------------------------------------------------


def docstrings():
    """Yield the module and the name to which each docstring of the library belongs, with its text."""
    for path in sorted((ROOT / "src" / "agentid").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield f"{module}:{getattr(node, 'name', '')}", text


EXAMPLES = [
    (where, block.text) for where, text in docstrings() for block in blocks_of(text) if block.language == "python"
]


class Anything:
    """Stands for an object of the reader's own, such as a database connection."""

    def __getattr__(self, name):
        return Anything()

    def __call__(self, *_arguments, **_settings):
        return Anything()


def surroundings(acting, executor):
    """What a fragment in a docstring takes for granted."""

    @agentid.requires("read:crm/customers/{customer_id}")
    def get_customer(customer_id):
        return {"id": customer_id}

    @agentid.requires("delete:crm/customers/{customer_id}")
    def delete_customer(customer_id):
        raise AssertionError

    return {
        "authority": acting.authority,
        "agent": acting.agent,
        "guard": acting.guard,
        "session": acting.session,
        "get_customer": get_customer,
        "delete_customer": delete_customer,
        "executor": executor,
        "connection": Anything(),
        "sqlite3": sqlite3,
    }


@pytest.mark.parametrize(("where", "code"), EXAMPLES, ids=[where for where, _ in EXAMPLES])
def test_the_example_in_a_docstring_runs(where, code, tmp_path, monkeypatch):
    """One that imports what it uses runs alone; a fragment runs where an agent is acting. Tests in it are called."""
    monkeypatch.chdir(tmp_path)
    compiled = compile(code.replace("…", "..."), where, "exec")
    if re.search(r"^(from|import) agentid", code, re.MULTILINE) and "def test_" not in code:
        exec(compiled, {"__name__": "example"})
        return
    allow = ["read:crm/customers/*"]
    with ThreadPoolExecutor() as executor, acting_as(allow=allow) as acting:
        module = importlib.import_module(where.partition(":")[0])
        package = importlib.import_module(module.__name__.rpartition(".")[0] or "agentid")
        namespace = surroundings(acting, executor)
        for offering in (agentid, package, module):
            namespace.update((name, getattr(offering, name)) for name in getattr(offering, "__all__", ()))
        exec(compiled, namespace)
        for name in [name for name in namespace if name.startswith("test_")]:
            namespace[name]()


def test_docstrings_have_examples():
    assert len(EXAMPLES) >= 5


def test_no_example_is_written_as_a_session_of_the_interpreter():
    """They would not be run."""
    assert [] == [where for where, text in docstrings() if re.search(r"^\s*>>> ", text, re.MULTILINE)]

"""Rules of the project that no linter knows."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "agentid").rglob("*.py"))


# --- dependencies ----------------------------------------------------------------------------------------------------


def test_the_core_depends_on_six_packages_and_no_others():
    """Each dependency of a security library is a door; a seventh needs a decision record."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = sorted(re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in project["dependencies"])

    assert ["cryptography", "opentelemetry-api", "opentelemetry-sdk", "pydantic", "pyjwt", "wrapt"] == names


# --- text ------------------------------------------------------------------------------------------------------------

# Written so that they do not match themselves. A warning may name what it warns of: see `says_not_to`.
INSTALL_OF_ANOTHERS_PACKAGE = re.compile(
    r"\b(?:pip3?|pipx|uv|poetry|pdm)\s+(?:install|add)(?:\s+-\S+)*\s+['\"]?agentid(?:[-_.]sdk)?(?![\w./-])",
    re.IGNORECASE,
)
ANOTHERS_DOMAIN = re.compile(r"agentid[.]dev\b", re.IGNORECASE)
# A path that starts at the root: not the middle of a URI, of another path, or of a variable.
PATH_OF_ONE_MACHINE = re.compile(r"(?<![\w./~}*-])/(?:root|home/\w+|Users/\w+|tmp|private/tmp|var/folders)/(?=\w|\.\w)")


def tracked_texts():
    """Yield name and text of each tracked file; without git, of each file in the folders that git would have."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        names = [name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = []
    if names:
        paths = [ROOT / name for name in names]
    else:
        folders = [ROOT / f for f in (".ci", "benchmarks", "docs", "examples", "src", "tests", "tools")]
        paths = [*ROOT.glob("*"), *itertools.chain.from_iterable(folder.rglob("*") for folder in folders)]
    for path in paths:
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):  # a folder, deleted but still in the index, or not text
            continue


def says_not_to(line):
    return re.search(r"\b(?:not|never|nobody|don't)\b", line, re.IGNORECASE) is not None


def lines_with(pattern, *, unless=lambda _line: False):
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line) and not unless(line)
    ]


def test_nothing_tells_anyone_to_install_a_package_of_that_name_that_is_not_ours():
    """The names `agentid` and `agentid-sdk` belong to others; ours is installed from the checkout."""
    assert [] == lines_with(INSTALL_OF_ANOTHERS_PACKAGE, unless=says_not_to)


def test_nothing_uses_the_domain_of_others():
    """Our own names derive from `urn:x-agentid`."""
    assert [] == lines_with(ANOTHERS_DOMAIN)


def test_no_file_names_a_path_of_one_machine():
    """Tests use `tmp_path`; an example that needs an absolute path says `file:///srv/data/...`."""
    here = re.compile(re.escape(f"{ROOT.as_posix()}/")) if len(ROOT.parts) > 2 else PATH_OF_ONE_MACHINE

    assert [] == lines_with(PATH_OF_ONE_MACHINE)
    assert [] == lines_with(here)


@pytest.mark.parametrize(
    ("pattern", "bad", "good"),
    [
        (
            INSTALL_OF_ANOTHERS_PACKAGE,
            ["pip install {}", "pip install -q {}-sdk", "python -m pip install -U '{}[toml]'", "uv add {}"],
            ["pip install '{}-guard[toml]'", "pip install -e . && {} demo", "pip install -e '.[toml]'", "pipx run {}"],
        ),
        (ANOTHERS_DOMAIN, ["https://{}.dev/x", "ada@{}.dev"], ["{}.developer", "{}.decision"]),
        (
            PATH_OF_ONE_MACHINE,
            ["cd /{}/ada/x".format("home"), '"/{}/x.csv"'.format("tmp"), "/{}/.cache".format("root")],
            ["file:///home/ada/x", "crm/home/ada/x", "$HOME/x", "${TMPDIR}/tmp/x", "https://a.example/tmp/x"],
        ),
    ],
    ids=["install", "domain", "path"],
)
def test_the_patterns_find_what_they_are_for_and_nothing_else(pattern, bad, good):
    texts = [text.format("agentid") if "{}" in text else text for text in bad]
    assert texts == [text for text in texts if pattern.search(text)]

    texts = [text.replace("{}", "agentid") for text in good]
    assert [] == [text for text in texts if pattern.search(text)]


# --- changelog -------------------------------------------------------------------------------------------------------

SECTIONS = ["Security", "Removed", "Deprecated", "Added", "Changed", "Fixed"]


def test_the_changelog_is_well_formed():
    """Unreleased first, then versions with their dates; in each, known sections, in order, once."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.split(r"^## ", text, flags=re.MULTILINE)

    assert versions[0].startswith("# Changelog\n")
    assert "[Unreleased]" == versions[1].splitlines()[0]
    for version in versions[2:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version.splitlines()[0])
    for version in versions[1:]:
        headings, *bodies = zip(*re.findall(r"^### (.+)\n((?:(?!^### ).*\n?)*)", version, re.MULTILINE), strict=True)
        assert [name for name in SECTIONS if name in headings] == list(headings)
        assert [] == [name for name, body in zip(headings, bodies[0], strict=True) if "\n- " not in f"\n{body}"]


# --- no hidden state -------------------------------------------------------------------------------------------------

# Calls whose result is made to be changed, or is ambient. One ContextVar is allowed: who is acting.
STATEFUL_CALLS = {
    *("dict", "list", "set", "bytearray", "defaultdict", "OrderedDict", "Counter", "deque", "local", "count"),
    *("WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "Queue", "SimpleQueue", "LifoQueue"),
}
CHANGING_METHODS = {
    *("append", "extend", "insert", "remove", "pop", "popitem", "clear", "update", "setdefault", "add", "discard"),
    *("sort", "reverse", "move_to_end", "appendleft", "popleft"),
}
DISPLAYS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


def module_level_names(tree):
    """Yield each name bound at module level (also below `if` and `try`) with the value bound to it."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            waiting.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))


def called(value):
    """Return the last part of the name of what is called, such as ``ContextVar``, or nothing."""
    func = value.func if isinstance(value, ast.Call) else None
    func = func.value if isinstance(func, ast.Subscript) else func
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def is_empty(display):
    return not (display.keys if isinstance(display, ast.Dict) else getattr(display, "elts", [True]))


def hidden_state(source):
    """List what in *source* keeps, or could keep, state at module level; `contextvar` for a ContextVar."""
    tree = ast.parse(source)
    found = []
    containers = set()
    for name, value in module_level_names(tree):
        if isinstance(value, DISPLAYS):
            containers.add(name)
            if not re.fullmatch(r"_*[A-Z][A-Z0-9_]*|__all__", name):
                found.append(f"{name}: a constant is written in upper case")
            if is_empty(value):
                found.append(f"{name}: an empty container at module level is there to be filled")
        elif called(value) in STATEFUL_CALLS:
            found.append(f"{name}: {called(value)}(...) at module level is state")
        elif called(value) == "ContextVar":
            found.append("contextvar")
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            found.append(f"global {', '.join(node.names)}")
        changed = None
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            changed = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING_METHODS:
            changed = node.func.value
        if isinstance(changed, ast.Name) and changed.id in containers:
            found.append(f"{changed.id}: changed on line {node.lineno}")
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("names = ['a']", 1),
        ("_CACHE: dict[str, int] = {}", 1),
        ("_SEEN = weakref.WeakKeyDictionary()", 1),
        ("if True:\n    _SEEN = set()", 1),
        ("_MAP = {'a': 1}\ndef f(): _MAP['b'] = 2", 1),
        ("_MAP = {'a': 1}\ndef f(): _MAP.update(b=2)", 1),
        ("def f():\n    global x\n    x = 1", 1),
        ("_acting: ContextVar[str] = ContextVar('acting')", 1),
        ("__all__ = ['a']\n_WORDS = {'a', 'b'}\nNAMES = ('a',)\ndef f():\n    seen = {}\n    seen['a'] = 1", 0),
        ("class C:\n    x: ClassVar = {'a': 1}\n_PAIRS: Final = {'a': 1}\nprint(_PAIRS['a'])", 0),
    ],
)
def test_hidden_state_is_found(source, expected):
    assert expected == len(hidden_state(source)), hidden_state(source)


def test_the_only_state_of_a_module_is_one_context_variable():
    """Who is acting is ambient; everything else belongs to an object that somebody made and can see."""
    found = {
        path.relative_to(ROOT).as_posix(): [
            s for s in hidden_state(path.read_text(encoding="utf-8")) if s != "contextvar"
        ]
        for path in SOURCES
    }

    assert {} == {name: state for name, state in found.items() if state}


def test_there_is_at_most_one_context_variable():
    holders = [
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for state in hidden_state(path.read_text(encoding="utf-8"))
        if state == "contextvar"
    ]

    assert len(holders) <= 1, holders

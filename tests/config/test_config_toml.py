"""
The line in a message is the right one, however the file is written.

`find_lines` must see in a text exactly the keys and elements that the parser sees; and in a generated
configuration with one mistake, the message must name the line into which the mistake was put.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from agentid.config import toml as config_toml
from agentid.config.reader import parse
from agentid.config.toml import Document, find_lines
from agentid.errors import ConfigurationError, MissingExtraError

SOURCE = Path("/somewhere/agentid.toml")
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def places(data, place=()):
    """Each key of each table, and each position of each list, in *data*."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*place, key)
        yield from places(value, (*place, key))


# --- the same keys and elements as the parser ---------------------------------------------------------------------

KEYS = ["a", "b", "a-1", "1", '"a b"', "'x.y'", '"\\u00e9\\"]"', '"#"', "''", '"\\U0001F600"', '"="']
SCALARS = [
    "1", "-0.5e3", "true", "inf", "1979-05-27 07:32:00", "07:32:00", "0xff", '""', "''", '"a # [b] = {"', "'\\'",
    '"\\"]"', '"""\n a = 1\n[b]\n"""', '"""\\\n  "x"" """""', "'''\n'' # '''''", '""""quoted"""""', "''''one'''",
    '"""a\\"""b"""',
]  # fmt: skip
GAPS = ["", " ", "\t", "\n", ' # a = [1, "\n', "\n\n  "]
BLANKS = ["", " ", "\t "]


@st.composite
def value(draw, depth=0):
    kinds = ["scalar", "scalar", "list", "table"] if depth < 3 else ["scalar"]
    kind = draw(st.sampled_from(kinds))
    if kind == "scalar":
        return draw(st.sampled_from(SCALARS))
    size = draw(st.integers(0, 3))
    gap, blank = st.sampled_from(GAPS), st.sampled_from(BLANKS)
    if kind == "table":
        entries = [
            f"{draw(blank)}{draw(key())}{draw(blank)}={draw(blank)}{draw(value(depth + 1))}" for _ in range(size)
        ]
        return f"{{{','.join(entries)}{draw(blank)}}}"
    parts = [f"{draw(gap)}{draw(value(depth + 1))}{draw(gap)}" for _ in range(size)]
    return f"[{','.join(parts)}{',' if parts and draw(st.booleans()) else ''}{draw(gap)}]"


@st.composite
def key(draw):
    dot = st.sampled_from([".", " . ", ".\t"])
    parts = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3))
    return draw(dot).join(parts)


@st.composite
def toml(draw):
    lines = []
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["entry", "entry", "table", "array", "comment"]))
        indent = draw(st.sampled_from(BLANKS))
        match kind:
            case "entry":
                lines.append(f"{indent}{draw(key())} = {draw(value())}{indent}")
            case "table":
                lines.append(f"{indent}[{indent}{draw(key())}{indent}] # [x]")
            case "array":
                lines.append(f"{indent}[[{indent}{draw(key())} ]]")
            case _:
                lines.append('# [[a]] b = """')
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines)


@relaxed
@given(toml())
@example('a = [\n1, [2,\n[]], {b.c = [\n3]}\n]\n"a\\u0062".c = 1')
@example("[[a]]\n[a.b]\nc = 1\n[[a]]\n[a.b]\nd = 1\n[[a.e]]\n[[a.e]]\nf = 1")
def test_the_scan_finds_the_keys_and_elements_that_the_parser_finds(text):
    try:
        data = Document(text, "x.toml").data
    except ConfigurationError:
        assume(False)

    lines = find_lines(text)

    assert set(places(data)) == set(lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
    for place, line in lines.items():
        assert lines.get(place[:-1], 0) <= line


@relaxed
@given(st.text(alphabet="[]{}=.,\"'#\\\n ab", max_size=60))
def test_the_scan_ends_for_any_text(text):
    """It is only ever asked about valid text. But nothing must hang if a newer parser takes more than it knows."""
    assert isinstance(find_lines(text), dict)


# --- one mistake, and its line ------------------------------------------------------------------------------------

MARK = "\x01"
NOISE = ["", "", "# [agents.x]\n", "\n", '  # allow = ["\n\n', "\t\n"]
PERMISSIONS = ["read:crm/*", "write:mail/outbox/*", "execute:a#b/x=1", "read:https://h.example/**", "edit:[x]/y"]
BAD_PERMISSIONS = ["reed:crm/*", "crm", "read:", "read:a//b", "read:a/**/b", "read:x where {"]
GOOD_WHERE = "{ amount = { at_most = 1 } }"
BAD_WHERE = [
    "{ amount = { at_mst = 1 } }",
    "{ amount = 1 }",
    "{ 'a b' = { at_most = 1 } }",
    "{ a = { at_most = 1, b = 2 } }",
]
DEEP_WHERE = f"{{ a = {{ any_of = [\n{{ at_most = 1 }},\n{MARK}{{ at_lest = 3 }} ] }} }}"


class Writer:
    """Writes a valid configuration in a random style, except for one mistake, which it marks."""

    def __init__(self, draw, mistake, prefix):
        self.draw = draw
        self.mistake = mistake
        self.prefix = prefix

    def pick(self, options):
        return self.draw(st.sampled_from(options))

    def here(self, kind):
        """Whether the mistake is of this kind and not made yet."""
        if self.mistake != kind:
            return False
        self.mistake = None
        return True

    def key(self, name):
        quoted = [f'"{name}"', f"'{name}'", f'"\\u{ord(name[0]):04x}{name[1:]}"']
        return self.pick([*quoted, name] if name.replace("_", "").isalnum() else quoted)

    def string(self, text):
        return self.pick([f'"{text}"', f"'{text}'", f'"""{text}"""', f"'''\n{text}'''"])

    def permission(self, kind):
        if self.here(f"{kind} text"):
            return MARK + self.string(self.pick(BAD_PERMISSIONS))
        if self.here(f"{kind} type"):
            return MARK + self.pick(["1", "[]", "true", "1979-05-27"])
        if kind == "agent" and self.here("where"):
            return f"{MARK}{{ permission = 'read:crm/*', where = {self.pick(BAD_WHERE)} }}"
        if kind == "agent" and self.here("deep where"):
            return f"{{ permission = 'read:x', where = {DEEP_WHERE} }}"
        if kind == "agent" and self.here("entry key"):
            return f"{MARK}{{ permission = 'read:crm/*', wher = {GOOD_WHERE} }}"
        text = self.string(self.pick(PERMISSIONS))
        if kind == "agent" and self.pick([True, False, False]):
            return f"{{ permission = {text}, where = {GOOD_WHERE} }}"
        return text

    def list(self, make, size):
        gap = lambda: self.pick(["", " ", "\n", ' # "]\n', "\n\n\t"])
        items = [f"{gap()}{make()}{gap()}" for _ in range(size)]
        return f"[{','.join(items)}{self.pick(['', ','] if items else [''])}{gap()}]"

    def statements(self, title, entries):
        """The entries of a table as `key = value`, with what can go wrong in any table."""
        entries = list(entries)
        if self.here(f"{title} key"):
            name = self.key(self.pick(["alow", "x", "kin"]))
            entries.insert(self.draw(st.integers(0, len(entries))), (MARK + name, "1"))
        if entries and self.here(f"{title} type"):
            name, _ = entries.pop()
            entries.append((MARK + name, self.pick(["{}", "1.5", "1979-05-27", "[[]]"])))
        return entries

    def lines(self, entries):
        return "".join(f"{self.pick(NOISE)}{self.pick(['', '  '])}{key} = {value}\n" for key, value in entries)

    def header(self, *names, mark=""):
        return f"[{mark}{self.pick(['.', ' . ']).join(self.key(n) for n in (*self.prefix, *names))}]\n"

    def inline(self, entries):
        """As an inline table, which has no line breaks but those inside its values."""
        return f"{{ {', '.join(f'{key} = {value}' for key, value in entries)} }}"

    def agent(self):
        entries = [("owner", self.string("team # [x]"))] if self.pick([True, False]) else []
        entries += [(self.key("allow"), self.list(lambda: self.permission("agent"), self.draw(st.integers(1, 4))))]
        entries += [(self.key("ttl_minutes"), f"{MARK}0" if self.here("ttl") else "15")]
        return self.statements("agent", entries)

    def limits(self):
        entries = [("rows_per_hour", f"{MARK}{self.pick(['0', '-1', 'true', '1.0'])}" if self.here("limit") else "10")]
        return self.statements("limits", entries)

    def data(self):
        labels = lambda: f"{MARK}'p i'" if self.here("data label") else self.string("pii")
        entries = [("resource", self.string("crm/**")), ("labels", self.list(labels, self.draw(st.integers(1, 3))))]
        entries += [("origin", f"{MARK}'rael'" if self.here("origin") else "'real'")]
        return self.statements("data", entries)

    def flow(self):
        label = f"{MARK}'pi'" if self.here("flow label") else "'pii'"
        to = f"{MARK}'mars'" if self.here("flow to") else "'model'"
        return self.statements("flow", [("label", label), ("to", to)])

    def place(self):
        kind = f"{MARK}'stor'" if self.here("kind") else "'store'"
        resource = f"{MARK}'a//b'" if self.here("pattern") else "'crm/**'"
        return self.statements("place", [("resource", resource), ("kind", kind)])

    def tables(self, name, make, size):
        """`[[name]]` several times, or one list of inline tables."""
        entries = [make() for _ in range(size)]
        missing = entries and self.here(f"{name} missing")
        if missing:
            entries[-1].pop(0)
        marks = [""] * (size - 1) + [MARK if missing else ""]
        if self.pick([True, False]):
            items = iter([mark + self.inline(e) for mark, e in zip(marks, entries, strict=True)])
            return f"{name} = {self.list(lambda: next(items), size)}\n", ""
        head = lambda mark: f"{self.pick(NOISE)}[{self.header(name, mark=mark)[:-1]}]\n"
        return "", "".join(head(mark) + self.lines(e) for mark, e in zip(marks, entries, strict=True))

    def named(self, table, name, entries, mark=""):
        """`[table.name]`, dotted keys, or an inline table."""
        match self.pick(["header", "dotted", "inline"]):
            case "header":
                return "", f"{self.pick(NOISE)}{self.header(table, name, mark=mark)}{self.lines(entries)}"
            case "dotted":
                base = f"{mark}{self.key(table)}.{self.key(name)}"
                return self.lines([(f"{base} . {k}", v) for k, v in entries]), ""
            case _:
                return f"{mark}{self.key(table)}.{self.key(name)} = {self.inline(entries)}\n", ""

    def document(self):
        agents = ["bot", "bot2", "b-3"][: self.draw(st.integers(1, 3))]
        parts = [self.named("agents", name, self.agent()) for name in agents]
        if self.here("agent name"):
            parts.append(self.named("agents", "a/b", [("owner", "'x'")], MARK))
        if self.here("limits agent"):
            parts.append(self.named("limits", "bto", [("rows_per_day", "1")], MARK))
        parts.append(self.named("limits", "bot", self.limits()))
        parts.append(self.tables("data", self.data, self.draw(st.integers(1, 3))))
        parts.append(self.tables("flow", self.flow, self.draw(st.integers(1, 3))))
        parts.append(self.tables("place", self.place, self.draw(st.integers(1, 3))))
        forbid = [(self.key("forbid"), self.list(lambda: self.permission("forbid"), self.draw(st.integers(1, 3))))]
        top = self.lines(self.statements("top", forbid))
        if self.here("table"):
            parts.append(("", f"{self.header('agnets', 'bot', mark=MARK)}owner = 'x'\n"))
        parts = self.draw(st.permutations(parts))
        begin = f"[project]\nname = 'agentid'\n{self.header()}" if self.prefix else ""
        return begin + top + "".join(first for first, _ in parts) + "".join(rest for _, rest in parts)


MISTAKES = [
    "agent text", "agent type", "agent key", "agent name", "where", "deep where", "entry key", "ttl",
    "forbid text", "forbid type", "limits key", "limits agent", "limit",
    "data key", "data type", "data label", "data missing", "origin", "flow key", "flow label", "flow to",
    "flow missing", "place key", "place missing", "kind", "pattern", "top key", "top type", "table",
]  # fmt: skip


@st.composite
def configuration(draw, mistake=None):
    prefix = draw(st.sampled_from([(), ("tool", "agentid")]))
    text = Writer(draw, mistake, prefix).document()
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return text, "pyproject.toml" if prefix else "agentid.toml"


@relaxed
@given(configuration())
def test_a_generated_configuration_without_a_mistake_is_read(generated):
    text, name = generated

    config = parse(text, source=SOURCE.with_name(name))

    assert "bot" in config.agents
    assert config.data[0].labels == ("pii",)
    assert set(places(Document(text, name).data)) == set(find_lines(text))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_line_in_the_message_is_the_line_of_the_mistake(mistake):
    @settings(relaxed, max_examples=40)
    @given(configuration(mistake))
    def check(generated):
        text, name = generated
        assert text.count(MARK) == 1
        line = text[: text.index(MARK)].count("\n") + 1

        with pytest.raises(ConfigurationError) as caught:
            parse(text.replace(MARK, ""), source=SOURCE.with_name(name))

        said = re.fullmatch(rf"{re.escape(name)}, line (\d+): .*", caught.value.what)
        assert said, caught.value
        assert line == int(said[1]), caught.value

    check()


def test_what_is_not_found_is_reported_at_what_is_around_it():
    document = Document("[a]\nb = [\n1]\n", "x.toml")

    assert document.line(("a", "b", 0)) == 3
    assert document.line(("a", "b", 7, "c")) == 2
    assert document.line(("a", "z")) == 1
    assert document.line(("z",)) is None
    assert str(document.error(("z",), "wrong")) == "[configuration.invalid] x.toml: wrong"


# --- what the parser refuses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb =", "x.toml, at the end: this is not valid TOML: Invalid value"),
        ("a = 1\nb = \nc = 1", "x.toml, line 2: this is not valid TOML: Invalid value"),
        ("a = 1\n[b\n", "x.toml, line 2: this is not valid TOML: Expected ']' at the end of a table declaration"),
        ("[a.b]\n[a.b]\nc = 1", "x.toml, line 2: this is not valid TOML: Cannot declare `'a', 'b'` twice"),
        ("a = 1\na = 2\nb = 1", "x.toml, line 2: this is not valid TOML: Cannot overwrite a value"),
        ("a = \0", "x.toml, line 1: this is not valid TOML: Invalid value"),
        (f"a = 1{'0' * 5000}", "x.toml: this is not valid TOML: a number is too long"),
        ("a = " + "[" * 5000, "x.toml: this is not valid TOML: it nests too deeply"),
        ("\ufeffa = 1", "x.toml, line 1: the file starts with a byte order mark: TOML has none"),
        ("\n" + "a." * 40 + "b = 1", "x.toml, line 2: a key has more than 32 parts"),
        ("[" + "a." * 40 + "b]", "x.toml, line 1: a key has more than 32 parts"),
        ("[a]\nb = { 'c' = 1, " + "'a'. " * 40 + "b = 1 }", "x.toml, line 2: a key has more than 32 parts"),
    ],
)
def test_text_that_is_not_toml_is_refused_with_its_line(text, expected):
    with pytest.raises(ConfigurationError) as caught:
        Document(text, "x.toml")

    # The oldest parser that we work with spells its reasons a little differently.
    said = f"{caught.value.what}: {caught.value.why}".removesuffix(": ").replace("Can not", "Cannot").replace('"', "'")
    assert said == expected


def test_a_key_of_32_parts_is_read():
    assert Document("a." * 31 + "b = 1", "x.toml").data


def test_dots_in_text_are_no_parts_of_a_key():
    assert Document(f"a = ['{'x.' * 50}', \"{'1.' * 50}\"] # {'x.' * 50}", "x.toml").data


def test_the_parsers_message_is_shortened_and_stays_on_one_line():
    key = '"' + "k" * 300 + '\\n"'

    with pytest.raises(ConfigurationError) as caught:
        Document(f"[{key}]\n[{key}]\n", "x\n\x1b.toml")

    with pytest.raises(ConfigurationError) as inline:
        Document(f"a = {{ {key} = 1, {key} = 2 }}", "x.toml")

    for error in (caught.value, inline.value):
        assert str(error).isprintable()
        assert len(str(error)) < 300
    assert caught.value.what.startswith(r"x\n\x1b.toml, line 2: ")


MEGABYTE = 1 << 20
JUNK = {
    "a key of many parts": "a." * (MEGABYTE // 2) + "a = 1",
    "a header of many parts": "[" + "a." * (MEGABYTE // 2) + "a]",
    "quoted parts": "'a' . " * (MEGABYTE // 6) + "a = 1",
    "parts in an inline table": "x = { " + "a." * (MEGABYTE // 2) + "a = 1 }",
    "open brackets": "a = " + "[" * MEGABYTE,
    "open tables": "a = " + "{a=" * (MEGABYTE // 3),
    "a long number": "a = " + "9" * MEGABYTE,
    "a long hexadecimal number": "ttl = 0x" + "f" * (MEGABYTE - 10),
    "one long word": "a" * MEGABYTE,
    "quotes": '"' * MEGABYTE,
    "single quotes": "'" * MEGABYTE,
    "mixed quotes": "\"'" * (MEGABYTE // 2),
    "spaces": "a" + " " * MEGABYTE + ".",
    "spaces between words": "a \t " * (MEGABYTE // 4),
    "line breaks": "\n" * MEGABYTE + "=",
    "dots": "." * MEGABYTE,
    "commas": "a = [1" + "," * MEGABYTE,
}


@pytest.mark.parametrize("text", JUNK.values(), ids=JUNK.keys())
def test_a_megabyte_of_junk_takes_no_time_to_speak_of(text):
    """Whatever grew with the square of the length would take minutes here. Loose: the machine may be busy."""
    start = time.thread_time()
    with pytest.raises(ConfigurationError) as caught:
        parse(text, source=SOURCE)

    assert time.thread_time() - start < 2
    assert len(str(caught.value)) < 500


def test_without_a_parser_the_message_names_the_extra(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    monkeypatch.setitem(sys.modules, "tomli", None)

    with pytest.raises(MissingExtraError) as caught:
        config_toml.Document("a = 1", "x.toml")

    assert "pip install '.[toml]'" in caught.value.fix
    assert "install agentid" not in str(caught.value)

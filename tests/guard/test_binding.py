"""WHAT: from the arguments of a call to the resources it is about, however they were passed, and whatever they are."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import time
from collections import OrderedDict, UserString, namedtuple
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID

import pytest

from agentid import Resource, requires
from agentid.errors import AccessDeniedError, ConfigurationError
from agentid.guard.binding import Unbindable
from agentid.guard.tool import Tool
from agentid.permission import Permission
from agentid.policy import Policy
from agentid.record import Access
from agentid.testing import acting_as, assert_denied


def touched(function, requirements, *args, **kwargs):
    """What a call of *function* would touch, as text."""
    requirements = [requirements] if isinstance(requirements, str) or callable(requirements) else requirements
    tool = Tool(function, requirements)
    return [str(access) for access in tool.accesses(tool.arguments(args, kwargs))]


def one(x):
    return x


# --- one value, one segment ------------------------------------------------------------------------------------------


class Color(str, Enum):
    RED = "red"


class Size(IntEnum):
    SMALL = 1


class Weight(Enum):
    HEAVY = 1.5


class Nested(Enum):
    INNER = Color.RED


class Liar(str):
    """Says that it is something else."""

    __slots__ = ()

    def __str__(self):
        return "c-9"

    def __repr__(self):
        return "'c-9'"

    def __format__(self, spec):
        return "c-9"

    def isprintable(self):
        return True


class Names(list):
    """Shows other elements than it has."""

    def __iter__(self):
        return iter(["c-1"])

    def __len__(self):
        return 1


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("c-1", "c-1"),
        ("Ada Lovelace", "Ada Lovelace"),
        ("ada@acme.example", "ada@acme.example"),
        ("a.b..c", "a.b..c"),
        ("...", "..."),
        ("100%", "100%25"),
        ("{x}", "%7Bx%7D"),
        ("Amélie", "Am\u00e9lie"),
        ("Ame\u0301lie", "Am\u00e9lie"),
        (7, "7"),
        (-7, "-7"),
        (10**39, "1" + "0" * 39),
        (Color.RED, "red"),
        (Size.SMALL, "1"),
        (Nested.INNER, "red"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc), "2026-01-02T03:04:00+00:00"),
        (PurePosixPath("report.txt"), "report.txt"),
        (Liar("c-1"), "c-1"),
    ],
    ids=repr,
)
def test_text_numbers_uuids_enums_dates_and_paths_name_one_segment(value, segment):
    assert [f"read:crm/customers/{segment}"] == touched(one, "read:crm/customers/{x}", value)
    assert [f"read:crm/c-{segment}-z"] == touched(one, "read:crm/c-{x}-z", value)


ODD_TEXT = {
    "newline": "c-1\n",
    "line feed inside": "c\n1",
    "carriage return": "c-1\r",
    "NUL": "c-1\0",
    "escape": "\x1b[2J",
    "empty": "",
    "space": " ",
    "trailing space": "c-1 ",
    "dot": ".",
    "dots": "..",
    "dots with parameter": "..;x",
    "slash": "a/b",
    "backslash": "a\\b",
    "encoded slash": "a%2fb",
    "encoded slash, upper case": "a%2Fb",
    "slash encoded twice": "a%252fb",
    "slash encoded five times": "a%252525252fb",
    "encoded dots": "%2e%2e",
    "encoded NUL": "a%00b",
    "bytes that are no text": "a%ffb",
    "star": "*",
    "two stars": "**",
    "star inside": "c-*",
    "encoded star": "%2a",
    "fraction slash": "a\u2044b",
    "division slash": "a\u2215b",
    "full-width slash": "a\uff0fb",
    "full-width dots": "\uff0e\uff0e",
    "one dot leader twice": "\u2024\u2024",
    "asterisk operator": "\u2217",
    "zero width": "c\u200b1",
    "right to left": "c\u202e1",
    "soft hyphen": "c\u00ad1",
    "half a character": "c\ud800",
    "invisible letter": "c\u115f1",
    "too long": "a" * 5000,
    "a megabyte": "a" * 2**20,
    "a megabyte of accents": "e" + "\u0301" * 2**20,
    "a megabyte of percent signs": "%25" * 2**18,
}
ODD_VALUES = {
    "true": True,
    "false": False,
    "float": 1.0,
    "NaN": float("nan"),
    "Decimal": Decimal(1),
    "complex": 1j,
    "bytes": b"c-1",
    "bytearray": bytearray(b"c-1"),
    "object": object(),
    "class": str,
    "dict": {"c-1": 1},
    "mapping": OrderedDict(a=1),
    "keys of a dict": {"c-1": 1}.keys(),
    "generator": (x for x in ["c-1"]),
    "range": range(2),
    "user string": UserString("c-1"),
    "function": one,
    "enum of a float": Weight.HEAVY,
    "huge number": 10**40,
    "very huge number": 10**5000,
    "list that lies": Names(["c-9"]),
    "named tuple": namedtuple("Point", "x y")("a", "b"),  # noqa: PYI024
    "list in a list": [["c-1"]],
    "None in a list": ["c-1", None],
    "odd text in a list": ["c-1", "a/b"],
    "true in a set": {True},
    "Windows path with folders": PureWindowsPath("a\\b"),
    "path with folders": PurePosixPath("a/b"),
    "nothing": None,
    "empty list": [],
    "empty set": frozenset(),
}
ODD = {**ODD_TEXT, **ODD_VALUES}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_whatever_cannot_be_one_name_is_refused_and_never_repaired(value, each_world):
    """The body does not run, the record names no resource, and neither shows the value."""
    ran = []

    @requires("read:crm/customers/{x}")
    def tool(x):
        ran.append(x)

    wide = each_world.issue("wide", allow=["read:crm/customers/**", "read:crm/**"])
    began = time.thread_time()
    with each_world.guard.acting_as(wide):
        for _ in range(2):  # what was refused once is not remembered as anything else
            with pytest.raises(AccessDeniedError) as refused:
                tool(value)
    took = time.thread_time() - began

    assert [] == ran
    assert took < 2
    assert {"resource_invalid"} == {s.attributes["agentid.authorization.reason"] for s in each_world.spans}
    assert "agentid.authorization.permission" not in each_world.spans[0].attributes
    assert "resource_invalid" == refused.value.decision.reason
    assert "not permitted: the arguments name no resource" == refused.value.for_model
    text = f"{refused.value!s} {refused.value.for_model}"
    assert text.isprintable()
    assert len(text) < 500
    if isinstance(value, str) and value.strip(". *"):
        assert value not in text


@pytest.mark.parametrize("value", ODD_TEXT.values(), ids=ODD_TEXT)
@pytest.mark.parametrize("where", ["crm/pre-{x}", "crm/{x}-post", "crm/a{x}b", "https://api.example/v1/{x}"])
def test_text_around_a_placeholder_makes_nothing_odd_acceptable(where, value):
    try:
        found = touched(one, f"read:{where}", value)
    except Unbindable:
        return
    # Alone it may be a dot or begin with a space; what is made of it is one ordinary segment.
    assert 1 == len(found)
    assert where.count("/") == found[0].count("/")
    assert Resource.parse(found[0].partition(":")[2]).segments[-1].isprintable()


def test_a_value_is_literal_on_both_sides():
    """Neither an argument nor a placeholder is ever a pattern: a grant for `*` is no grant for the name `*`."""
    with pytest.raises(Unbindable):
        touched(one, "read:crm/customers/{x}", "*")
    with pytest.raises(ConfigurationError):
        Tool(one, ["read:crm/*/{x}"])
    with pytest.raises(ConfigurationError):
        Tool(one, ["read:crm/**"])


def test_an_enum_that_is_text_is_its_value_and_not_its_name():
    assert ["read:crm/red"] == touched(one, "read:crm/{x}", Color.RED)


def test_equal_values_of_different_types_are_different_questions(each_world):
    """What was decided for `1` says nothing about `True`, and nothing about `1.0`."""
    ran = []

    @requires("read:crm/customers/{x}")
    def tool(x):
        ran.append(x)

    with each_world.guard.acting_as(each_world.agent):
        for value in (1, "1", 1):
            tool(value)
        for value in (True, 1.0, Decimal(1)):
            with pytest.raises(AccessDeniedError):
                tool(value)

    assert [int, str, int] == [type(value) for value in ran]


def test_a_text_subclass_is_bound_by_its_characters_each_time(each_world):
    """One that claims to equal an allowed name is not taken for it."""

    class Equal(str):
        __slots__ = ()

        def __eq__(self, other):
            return True

        def __hash__(self):
            return hash("c-1")

    ran = []

    @requires("read:crm/customers/{x}")
    def tool(x):
        ran.append(x)

    narrow = each_world.issue("narrow", allow=["read:crm/customers/c-1"])
    with each_world.guard.acting_as(narrow):
        tool("c-1")
        with pytest.raises(AccessDeniedError):
            tool(Equal("c-2"))
        with pytest.raises(AccessDeniedError):
            tool("c-2")

    assert ["c-1"] == ran


# --- however it is passed --------------------------------------------------------------------------------------------


def plain(x, y="default"):
    """As most."""


def positional_only(x, y="default", /):
    """Names are not taken."""


def keyword_only(*, x, y="default"):
    """Only names are taken."""


def open_ended(x, *rest, y="default", **more):
    """Takes anything."""


def hidden(*args, **kwargs):
    """Takes anything, and says so."""


class Tools:
    def method(self, x, y="default"):
        """With an object."""

    def __call__(self, x, y="default"):
        """Of an object."""


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "expected"),
    [
        (plain, ["a"], {}, ("a", "default")),
        (plain, ["a", "b"], {}, ("a", "b")),
        (plain, ["a"], {"y": "b"}, ("a", "b")),
        (plain, [], {"y": "b", "x": "a"}, ("a", "b")),
        (positional_only, ["a"], {}, ("a", "default")),
        (positional_only, ["a", "b"], {}, ("a", "b")),
        (keyword_only, [], {"x": "a"}, ("a", "default")),
        (keyword_only, [], {"x": "a", "y": "b"}, ("a", "b")),
        (open_ended, ["a", "z"], {}, ("a", "default")),
        (open_ended, ["a", "z"], {"y": "b", "q": 1}, ("a", "b")),
        (Tools().method, ["a"], {}, ("a", "default")),
        (Tools(), ["a"], {"y": "b"}, ("a", "b")),
        (functools.partial(plain, "a"), [], {}, ("a", "default")),
        (functools.partial(plain, "a"), ["b"], {}, ("a", "b")),
        (functools.partial(plain, y="b"), ["a"], {}, ("a", "b")),
        (functools.partial(plain, y="b"), ["a"], {"y": "c"}, ("a", "c")),
        (functools.partial(functools.partial(plain, x="a"), y="b"), [], {}, ("a", "b")),
        (functools.wraps(plain)(hidden), ["a"], {}, ("a", "default")),
        (functools.wraps(plain)(hidden), [], {"x": "a", "y": "b"}, ("a", "b")),
    ],
)
def test_each_argument_is_seen_by_its_name_however_it_is_passed(function, args, kwargs, expected):
    x, y = expected

    assert [f"read:crm/{x}/{y}"] == touched(function, "read:crm/{x}/{y}", *args, **kwargs)


def test_star_args_bind_one_resource_each():
    def tool(*names):
        """Take any number."""

    assert ["read:crm/a", "read:crm/b"] == touched(tool, "read:crm/{names}", "a", "b")
    with pytest.raises(Unbindable):
        touched(tool, "read:crm/{names}")


def test_keywords_are_seen_by_their_own_names():
    def tool(**options):
        """Take any name."""

    assert ["read:crm/a"] == touched(tool, "read:crm/{customer}", customer="a")
    with pytest.raises(Unbindable, match="no argument `customer`"):
        touched(tool, "read:crm/{customer}", other="a")
    with pytest.raises(Unbindable, match="is a dict"):
        touched(tool, "read:crm/{options}", customer="a")
    with pytest.raises(Unbindable, match="is a dict"):
        touched(tool, "read:crm/{options}", options="a")


def test_a_keyword_cannot_pass_for_a_positional_only_parameter():
    """`f("c-1", x="c-9")` fills both `x` and the keywords: what the tool calls `x` counts."""

    def tool(x, /, **options):
        """Take any name, and x."""

    assert ["read:crm/c-1"] == touched(tool, "read:crm/{x}", "c-1", x="c-9")


def test_self_can_say_what_a_method_touches():
    class Mailbox:
        def __init__(self, owner):
            self.owner = owner

        @requires("read:mail/{self.owner}/{folder}")
        def list_folder(self, folder):
            return f"{self.owner}/{folder}"

    from agentid.testing import acting_as

    with acting_as(allow=["read:mail/ada/*"]):
        assert "ada/inbox" == Mailbox("ada").list_folder("inbox")
        with pytest.raises(AccessDeniedError, match="read:mail/bob/inbox"):
            Mailbox("bob").list_folder("inbox")


def test_a_call_that_does_not_fit_the_signature_is_the_error_that_python_makes_of_it(each_world):
    """And nothing is decided or recorded: there is no such call."""
    ran = []

    @requires("read:crm/customers/{x}")
    def tool(x):
        ran.append(x)

    with each_world.guard.acting_as(each_world.agent):
        for args, kwargs in (([], {}), (["a", "b"], {}), (["a"], {"x": "b"}), ([], {"z": 1}), (["a"], {"z": 1})):
            with pytest.raises(TypeError):
                tool(*args, **kwargs)

    assert ([], [], ()) == (ran, each_world.records, each_world.spans)


# --- several resources -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_each_element_of_a_list_is_a_resource_of_its_own(kind):
    assert ["read:crm/a", "read:crm/b"] == sorted(touched(one, "read:crm/{x}", kind(["a", "b", "a"])))


def test_every_element_must_be_allowed(each_world):
    ran = []

    @requires("read:crm/customers/{ids}")
    def tool(ids):
        ran.append(ids)

    narrow = each_world.issue("narrow", allow=["read:crm/customers/a", "read:crm/customers/b"])
    with each_world.guard.acting_as(narrow):
        tool(["a", "b"])
        for ids in (["a", "c"], ["c", "a"], {"a", "b", "c"}, ("c",)):
            with pytest.raises(AccessDeniedError, match="customers/c"):
                tool(ids)
        with pytest.raises(AccessDeniedError):
            tool(["a", ""])

    assert [["a", "b"]] == ran


def test_several_lists_bind_every_combination():
    def tool(rooms, days):
        """Book rooms."""

    expected = ["write:rooms/a/1", "write:rooms/a/2", "write:rooms/b/1", "write:rooms/b/2"]

    assert expected == touched(tool, "write:rooms/{rooms}/{days}", ["a", "b"], (1, 2))
    assert ["write:rooms/a-a"] == touched(tool, "write:rooms/{rooms}-{rooms}", ["a"], None)


def test_every_requirement_must_be_allowed(each_world):
    """One resource rarely names every place where an effect lands."""
    ran = []

    @requires("write:mail/outbox/{to}", "write:mail/outbox/{cc}")
    def send(to, cc=None):
        ran.append((to, cc))

    mailer = each_world.issue("mailer", allow=["write:mail/outbox/*@acme.example"])
    with each_world.guard.acting_as(mailer):
        send("ada@acme.example")
        send("ada@acme.example", ["bob@acme.example"])
        for to, cc in (
            ("ada@acme.example", "eve@evil.example"),
            ("eve@evil.example", "ada@acme.example"),
            ("ada@acme.example", ["bob@acme.example", "eve@evil.example"]),
        ):
            with pytest.raises(AccessDeniedError, match=r"eve@evil\.example"):
                send(to, cc)
        with pytest.raises(AccessDeniedError):
            send(None)

    assert [("ada@acme.example", None), ("ada@acme.example", ["bob@acme.example"])] == ran


def test_none_and_empty_bind_nothing_and_a_call_that_binds_nothing_is_refused():
    def tool(to, cc):
        """Send."""

    both = ["write:mail/{to}", "write:mail/{cc}"]

    assert ["write:mail/ada"] == touched(tool, both, "ada", None)
    assert ["write:mail/ada"] == touched(tool, both, [], "ada")
    for to, cc in ((None, None), ([], None), ((), set())):
        with pytest.raises(Unbindable, match="no resource at all"):
            touched(tool, both, to, cc)


@pytest.mark.parametrize(("count", "days"), [(10_001, 1), (101, 100)])
def test_a_call_names_a_bounded_number_of_resources(count, days):
    def tool(rooms, days):
        """Book rooms."""

    began = time.thread_time()
    with pytest.raises(Unbindable, match="more than 10000"):
        touched(tool, "write:rooms/{rooms}/{days}", list(range(count)), list(range(days)))

    assert time.thread_time() - began < 1


def test_all_requirements_together_name_a_bounded_number_of_resources():
    def tool(rooms):
        """Book rooms."""

    with pytest.raises(Unbindable, match="more than 10000"):
        touched(tool, ["read:rooms/{rooms}", "write:rooms/{rooms}"], list(range(6000)))


def test_a_resource_of_many_long_parts_is_refused():
    def tool(a, b):
        """Join."""

    with pytest.raises(Unbindable, match="longer than"):
        touched(tool, "read:crm/{a}/{b}", "a" * 3000, "b" * 3000)


# --- attributes ------------------------------------------------------------------------------------------------------


@dataclass
class Customer:
    id: object


@dataclass
class Order:
    customer: object


def by_order(order):
    """Look at an order."""


def test_attributes_are_followed():
    assert ["read:crm/c-1"] == touched(by_order, "read:crm/{order.customer.id}", Order(Customer("c-1")))
    assert ["read:crm/a", "read:crm/b"] == touched(by_order, "read:crm/{order.customer}", Order(["a", "b"]))


@pytest.mark.parametrize("value", [None, "text", {"customer": "c-1"}, Order(None), Customer("c-1")], ids=repr)
def test_an_attribute_that_is_not_there_refuses_the_call(value, each_world):
    ran = []

    @requires("read:crm/customers/{order.customer.id}")
    def tool(order):
        ran.append(order)

    with each_world.guard.acting_as(each_world.agent), pytest.raises(AccessDeniedError) as refused:
        tool(value)

    assert ([], "error") == (ran, refused.value.decision.reason)


def test_a_property_that_raises_refuses_the_call(each_world):
    class Broken:
        @property
        def customer(self):
            raise OSError("secret")

    ran = []

    @requires("read:crm/customers/{order.customer}")
    def tool(order):
        ran.append(order)

    with each_world.guard.acting_as(each_world.agent), pytest.raises(AccessDeniedError) as refused:
        tool(Broken())

    assert [] == ran
    assert "deciding failed with OSError" in str(refused.value)
    assert "secret" not in str(refused.value)


# --- paths -----------------------------------------------------------------------------------------------------------


def read(path):
    """Read a file."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "docs/a"),
        ("a/b/c.txt", "docs/a/b/c.txt"),
        ("a//b", "docs/a/b"),
        ("./a/./b/", "docs/a/b"),
        ("a/../b", "docs/b"),
        ("a/b/../../c", "docs/c"),
        (PurePosixPath("a/b"), "docs/a/b"),
        (PureWindowsPath("a\\b"), "docs/a/b"),
        (7, "docs/7"),
    ],
    ids=repr,
)
def test_a_path_takes_several_segments_normalised(value, expected):
    assert [f"read:{expected}"] == touched(read, "read:docs/{path:path}", value)


@pytest.mark.parametrize(
    "value",
    [
        "/etc/passwd",
        "//etc/passwd",
        "..",
        "../x",
        "a/../../x",
        "a/b/../../..",
        "",
        ".",
        "./",
        "a/..",
        "a\\b",
        "..\\x",
        "a/%2e%2e/b",
        "a/%2f/b",
        "a/*/b",
        "a/**",
        "a\0b",
        "a\nb",
        "a/ b",
        "a/\uff0e\uff0e/b",
        "a/b\u2215c",
        PurePosixPath("/etc"),
        PureWindowsPath("C:\\x\\..\\..\\y"),
        "C:/Windows",
        "c:secret",
        True,
        b"a",
        None,
        [],
        "a/" * 5000,
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_path_never_climbs_out(value):
    with pytest.raises(Unbindable):
        touched(read, "read:docs/{path:path}", value)
    with pytest.raises(Unbindable):
        touched(read, "read:file:///srv/docs/{path:path}", value)


def test_each_path_of_a_list_is_a_resource():
    assert ["read:docs/a/b", "read:docs/c"] == touched(read, "read:docs/{path:path}", ["a/b", "c"])


def test_at_the_root_of_files_a_path_is_any_path_and_a_relative_one_starts_here(monkeypatch, tmp_path):
    """The tool will open it from the current folder, so that is what is decided about."""
    monkeypatch.chdir(tmp_path)
    here = Path.cwd()
    template = "read:file:///{path:path}"

    assert ["read:file:///etc/passwd"] == touched(read, template, "/etc/passwd")
    assert ["read:file:///etc/passwd"] == touched(read, template, "/etc/../etc//./passwd/")
    assert ["read:file:///etc/passwd"] == touched(read, template, "//etc/passwd")
    assert ["read:file:///etc"] == touched(read, template, "/../../etc")
    assert [f"read:file://{here}/a/b"] == touched(read, template, "a/b")
    assert [f"read:file://{here}"] == touched(read, template, ".")
    assert [f"read:file://{here.parent}/x"] == touched(read, template, "../x")
    assert [f"read:file://{here}/~/x"] == touched(read, template, "~/x")


@pytest.mark.parametrize("value", ["", "/", "//", "/a\0b", "/a\nb", "/a*", "/a\\b", "a\\b", "/a%2fb", "/a/%2e%2e"])
def test_at_the_root_of_files_odd_paths_are_refused(value):
    with pytest.raises(Unbindable):
        touched(read, "read:file:///{path:path}", value)


def test_a_path_can_stand_between_other_segments():
    assert ["read:s3://bucket/a/b/data.csv"] == touched(read, "read:s3://bucket/{path:path}/data.csv", "a/b")


# --- templates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requirement", "says"),
    [
        ("read:crm/{custmer_id}", "Did you mean `customer_id`?"),
        ("read:crm/{zzz}", "Use one of `amount`, `customer_id`."),
        ("reed:crm/{customer_id}", "Did you mean `read`?"),
        ("crm/customers/{customer_id}", "action is missing"),
        ("", "action is missing"),
        ("READ:crm/{customer_id}", "unknown action"),
        ("read :crm/{customer_id}", "unknown action"),
        ("read:", "not a resource"),
        ("read:crm/*", "wildcards"),
        ("read:crm/**", "wildcards"),
        ("read:crm//{customer_id}", "empty"),
        ("read:crm/../{customer_id}", "no names"),
        ("read:crm/{}", "bad placeholder"),
        ("read:crm/{customer_id()}", "bad placeholder"),
        ("read:crm/{customer_id[0]}", "bad placeholder"),
        ("read:crm/{customer_id._secret}", "bad placeholder"),
        ("read:crm/{customer_id.__class__}", "bad placeholder"),
        ("read:crm/{_x.__class__}", "bad placeholder"),
        ("read:crm/{customer_id!r}", "bad placeholder"),
        ("read:crm/{customer_id:>10}", "bad placeholder"),
        ("read:crm/{customer id}", "bad placeholder"),
        ("read:crm/{customer_id:path}.txt", "whole segments"),
        ("read:crm/{customer_id", "not a resource"),
        ("read:crm/customer_id}", "not a resource"),
        ("read:https://{customer_id}/x", "never for a scheme or host"),
        ("read:{customer_id}://host/x", "never for a scheme or host"),
        ("read:{customer_id}://", "not a resource"),
        ("read:https://api.example:{amount}/x", "not a resource"),
        ("read:https://a@b/{customer_id}", "not a resource"),
    ],
)
def test_a_wrong_template_is_refused_while_decorating(requirement, says):
    def tool(customer_id, amount=1):
        """Look at a customer."""

    with pytest.raises(ConfigurationError) as refused:
        requires(requirement)(tool)

    assert says in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("requirement", [None, 7, b"read:x", ["read:x"], object()])
def test_what_is_no_template_and_no_function_is_refused_while_decorating(requirement):
    with pytest.raises(ConfigurationError):
        requires(requirement)(one)


def test_a_tool_that_requires_nothing_is_refused_while_decorating():
    with pytest.raises(ConfigurationError, match="requires nothing"):
        requires()(one)


def test_forgotten_brackets_are_noticed():
    def tool():
        """Take nothing."""

    tool.__qualname__ = "tool"
    with pytest.raises(ConfigurationError, match="with brackets"):
        requires(tool)


@pytest.mark.parametrize("target", [int, Customer, 7, "text", property(one), None])
def test_only_functions_are_guarded(target):
    with pytest.raises(ConfigurationError, match="no function"):
        requires("read:crm/x")(target)


def test_a_function_without_a_signature_is_refused_while_decorating():
    class NoSignature:
        __signature__ = "nonsense"

        def __call__(self, *args):
            """Take anything."""

    with pytest.raises(ConfigurationError, match="no signature"):
        requires("read:crm/{x}")(NoSignature())


def lying(function):
    """Say of *function* that its parameters are the other way round."""
    function.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default="c-1") for name in ("note", "x")]
    )
    return function


class Lying:
    def __init__(self):
        self.ran = []
        lying(self)

    def __call__(self, x="c-2", note="c-1"):
        self.ran.append(x)

    @lying
    def method(self, x="c-2", note="c-1"):
        self.ran.append(x)


@pytest.mark.parametrize("kind", ["function", "async", "generator", "method", "bound method", "object", "partial"])
def test_what_the_code_takes_counts_and_not_what_it_says_that_it_takes(kind, each_world):
    """`__signature__` is for people; bound by it, `c-1` would be decided, and `c-2` be read."""
    told = Lying()

    @lying
    def function(x="c-2", note="c-1"):
        told.ran.append(x)

    @lying
    async def coroutine(x="c-2", note="c-1"):
        told.ran.append(x)

    @lying
    def generator(x="c-2", note="c-1"):
        yield told.ran.append(x)

    guarded = requires("read:crm/customers/{x}")
    tool = {
        "function": lambda: guarded(function),
        "async": lambda: lambda *args: asyncio.run(guarded(coroutine)(*args)),
        "generator": lambda: lambda *args: list(guarded(generator)(*args)),
        "method": lambda: functools.partial(guarded(Lying.method), told),
        "bound method": lambda: guarded(told.method),
        "object": lambda: guarded(told),
        "partial": lambda: guarded(functools.partial(function)),
    }[kind]()
    agent = each_world.issue("narrow", allow=["read:crm/customers/c-1"])
    with each_world.guard.acting_as(agent):
        tool("c-1", "c-2")
        for refused in (("c-2", "c-1"), ()):
            with pytest.raises(AccessDeniedError):
                tool(*refused)

    assert ["c-1"] == told.ran


@pytest.mark.parametrize(
    ("sinks", "says"), [({"too"}, "Did you mean `to`?"), ("to", "is text"), ({"zzz"}, "Use one of")]
)
def test_sinks_name_parameters(sinks, says):
    def send(to, body):
        """Send."""

    with pytest.raises(ConfigurationError, match=says.replace("?", r"\?")):
        requires("write:mail/{to}", sinks=sinks)(send)
    assert frozenset({"to", "body"}) == Tool(send, ["write:mail/{to}"], {"to", "body"}).sinks


def test_placeholders_stand_beside_text_and_each_other():
    def tool(a, b):
        """Join."""

    assert ["read:crm/x-1-y_2.csv"] == touched(tool, "read:crm/x-{a}-y_{b}.csv", 1, 2)
    assert ["read:crm/12"] == touched(tool, "read:crm/{a}{b}", 1, 2)
    with pytest.raises(Unbindable):
        touched(tool, "read:crm/{a}{b}", ".", ".")
    with pytest.raises(Unbindable):
        touched(tool, "read:crm/{a}{b}", "%2", "f")
    with pytest.raises(Unbindable):
        touched(tool, "read:crm/%25{a}", "2f", None)


def test_scheme_and_host_of_a_template_are_compared_in_lower_case():
    assert ["read:https://api.example/V1/c-1"] == touched(one, "read:HTTPS://API.Example:443/V1/{x}", "c-1")


# --- computed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("read:crm/a", ["read:crm/a"]),
        (["read:crm/a", "write:crm/b"], ["read:crm/a", "write:crm/b"]),
        (("read:crm/a", "write:crm/b"), ["read:crm/a", "write:crm/b"]),
        (("read", "crm/a"), ["read:crm/a"]),
        (("read", Resource.parse("crm/a")), ["read:crm/a"]),
        ([("read", "crm/a"), "write:crm/b"], ["read:crm/a", "write:crm/b"]),
        (Access("read", Resource.parse("crm/a")), ["read:crm/a"]),
        ({"read:crm/a"}, ["read:crm/a"]),
        ("read:https://api.example/a%20b", ["read:https://api.example/a b"]),
    ],
    ids=repr,
)
def test_a_function_can_compute_what_no_template_can_say(result, expected):
    assert expected == touched(one, lambda x: result, "c-1")


@pytest.mark.parametrize(
    "result",
    [
        *(
            None,
            [],
            (),
            "",
            "crm/a",
            "reed:crm/a",
            "read:",
            "read:crm/*",
            "read:crm/**",
            "read:crm/../a",
            "read:crm//a",
        ),
        *("read:crm/a\n", 7, b"read:crm/a", {"read": "crm/a"}, ["read:crm/a", None], ["read:crm/a", 7]),
        *([["read:crm/a"]], ("read", None), ("read", 7), ("read", "crm/*"), ("read", "crm/a", "more"), (None, "crm/a")),
        *(iter(["read:crm/a"]), Permission.parse("read:crm/a"), True, "read:" + "a" * 2**20),
    ],
    ids=itertools.count(),
)
def test_a_computed_requirement_that_is_none_refuses_the_call(result, each_world):
    ran = []

    @requires(lambda x: result)
    def tool(x):
        ran.append(x)

    wide = each_world.issue("wide", allow=["read:crm/**"])
    with each_world.guard.acting_as(wide), pytest.raises(AccessDeniedError) as refused:
        tool("c-1")

    assert ([], "resource_invalid") == (ran, refused.value.decision.reason)


def test_a_computed_requirement_takes_what_it_needs_by_name():
    def tool(a, b, *, c=3):
        """Take three."""

    assert ["read:crm/1-3"] == touched(tool, lambda a, c: f"read:crm/{a}-{c}", 1, 2)
    assert ["read:crm/1-9"] == touched(tool, lambda a, other=9: f"read:crm/{a}-{other}", 1, 2)
    assert ["read:crm/x", "read:crm/1"] == touched(tool, ["read:crm/x", lambda a: f"read:crm/{a}"], 1, 2)


async def asynchronous(x):
    return "read:crm/a"


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda y: "", "`y`"),
        (lambda *args: "", "without names"),
        (lambda **kwargs: "", "without names"),
        (lambda x, /: "", "without names"),
        (asynchronous, "async"),
        (dict.fromkeys, "without names"),
        (max, "no signature"),
    ],
)
def test_a_computed_requirement_that_cannot_be_called_by_name_is_refused_while_decorating(function, says):
    with pytest.raises(ConfigurationError, match=says):
        requires(function)(one)


# --- constraints -----------------------------------------------------------------------------------------------------


def transfer(account, amount=5, *, currency="EUR"):
    """Move money."""


@pytest.mark.parametrize(
    ("args", "kwargs", "allowed"),
    [
        (["a", 10], {}, True),
        (["a"], {"amount": 10}, True),
        (["a"], {}, True),
        (["a", 101], {}, False),
        (["a"], {"amount": 101}, False),
        (["a", True], {}, False),
        (["a", "10"], {}, False),
        (["a", float("nan")], {}, False),
        (["a", None], {}, False),
        (["a", 10], {"currency": "USD"}, False),
        (["a", 10], {"currency": "EUR"}, True),
    ],
)
def test_constraints_see_each_argument_however_it_is_passed(args, kwargs, allowed, each_world):
    from agentid import at_most, one_of

    ran = []

    @requires("write:bank/{account}")
    @functools.wraps(transfer)
    def tool(*args, **kwargs):
        ran.append(args)

    permission = Permission.parse("write:bank/*").where(amount=at_most(100), currency=one_of("EUR"))
    banker = each_world.issue("banker", allow=[permission])
    with each_world.guard.acting_as(banker):
        for _ in range(2):
            if allowed:
                tool(*args, **kwargs)
            else:
                with pytest.raises(AccessDeniedError) as refused:
                    tool(*args, **kwargs)
                assert "constraint_violation" == refused.value.decision.reason

    assert (2 if allowed else 0) == len(ran)


def test_a_constraint_on_a_parameter_that_the_tool_lacks_refuses_and_names_it(each_world):
    from agentid import at_most

    @requires("write:bank/{account}")
    def tool(account, amount):
        """Move money."""

    banker = each_world.issue("banker", allow=[Permission.parse("write:bank/*").where(amuont=at_most(100))])
    with each_world.guard.acting_as(banker), pytest.raises(AccessDeniedError, match="no parameter `amuont`"):
        tool("a", 10)


# --- holes found in others -------------------------------------------------------------------------------------------


@pytest.fixture
def drop(each_world):
    """A tool that does something to a table, and an agent that may only select."""
    ran = []

    @requires("execute:db/{table}/{action}")
    def run(table, action="drop"):
        ran.append((table, action))

    agent = each_world.issue("analyst", allow=["execute:db/users/select"])
    with each_world.guard.acting_as(agent):
        yield run
    assert [("users", "select")] == ran


def test_agt_positional_arguments_are_not_invisible(drop):
    """AGT `govern()`: `safe(action="drop")` was denied, and `safe("users", "drop")` ran."""
    drop("users", "select")
    for call in (lambda: drop("users", "drop"), lambda: drop(table="users", action="drop")):
        with pytest.raises(AccessDeniedError):
            call()


def test_agt_a_default_is_an_argument(drop):
    """AGT `govern()`: a default `action="drop"` was not bound, so it ran."""
    drop("users", "select")
    with pytest.raises(AccessDeniedError):
        drop("users")


@pytest.mark.parametrize("action", ["DROP", "Select", "SELECT", "ｓelect", "select ", "select\n", "sel\u200bect"])
def test_agt_another_spelling_is_another_action(action, drop):
    """AGT `govern()`: `"DROP"` was not `"drop"`, so nothing denied it, and it ran."""
    drop("users", "select")
    with pytest.raises(AccessDeniedError):
        drop("users", action)


@pytest.mark.parametrize("rule", ["delte:db/users", "action.type = 'drop'", "not read:db/x", "(read:db/x)", "drop"])
def test_agt_a_misspelt_rule_is_an_error_and_not_silently_false(rule):
    """AGT: a deny condition that did not parse was false, so everything ran."""
    with pytest.raises(ConfigurationError):
        Policy(forbid=[rule])


def test_toolcall_authz_positional_arguments_are_not_invisible(each_world):
    """toolcall-authz: `sql("drop table users")` ran, and only the keyword form was denied."""
    ran = []

    def parsed(statement):
        verb, _, rest = statement.partition(" ")
        return ("read" if verb == "select" else "delete"), f"db/{rest.split()[-1]}"

    @requires(parsed)
    def sql(statement):
        ran.append(statement)

    agent = each_world.issue("analyst", allow=["read:db/*"])
    with each_world.guard.acting_as(agent):
        sql("select * from users")
        sql(statement="select * from users")
        for call in (lambda: sql("drop table users"), lambda: sql(statement="drop table users")):
            with pytest.raises(AccessDeniedError):
                call()

    assert 2 == len(ran)


def test_tenuo_methods_and_arguments_that_are_no_data_are_fine(each_world):
    """Tenuo: `self` became an argument and denied the call, as did anything that was not JSON."""

    class Store:
        @requires("read:crm/customers/{x}")
        def get(self, connection, x):
            return x

    with each_world.guard.acting_as(each_world.agent):
        assert "c-1" == Store().get(object(), "c-1")


def test_keywords_do_not_hide_an_argument(each_world):
    """A tool that takes `**kwargs` and calls another one with them is decided about what it passes on."""
    ran = []

    @requires("read:crm/customers/{x}")
    def tool(**kwargs):
        ran.append(kwargs)

    with each_world.guard.acting_as(each_world.agent):
        tool(x="c-1")
        with pytest.raises(AccessDeniedError):
            tool(kwargs={"x": "c-1"})
        with pytest.raises(AccessDeniedError):
            tool(X="c-1")

    assert [{"x": "c-1"}] == ran


def test_a_path_behind_a_link_is_decided_as_what_would_be_opened(tmp_path):
    """The tool gets the text and opens what the operating system makes of it, links and `..` included."""
    here = tmp_path.resolve()
    for folder in ("data", "other/sub"):
        (here / folder).mkdir(parents=True)
    (here / "data" / "top").write_text("fine")
    (here / "other" / "top").write_text("secret")
    (here / "data" / "out").symlink_to(here / "other")
    (here / "data" / "sub").symlink_to(here / "other" / "sub")

    @requires("read:file:///{path:path}")
    def read(path: str) -> str:
        return Path(path).read_text()

    with acting_as(allow=[f"read:file://{here}/data/**"]):
        assert "fine" == read(f"{here}/data/top")
        for path in ("data/out/top", "data/sub/../top", "data/out/../data/out/top"):
            with assert_denied(reason="scope_missing"):
                read(f"{here}/{path}")


@pytest.mark.parametrize("url", ["file:/etc/passwd", "file:etc", "https:/evil.example/x", "mailto:x@y.example", "C:/x"])
def test_what_is_a_url_to_others_is_never_a_short_path(url):
    """A permission on short paths reaches no file and no host by a missing slash."""
    ran = []

    def fetch(url):
        ran.append(url)

    computed = requires(lambda url: f"read:{url}")(fetch)
    template = requires("read:{url:path}")(fetch)

    with acting_as(allow=["read:**"]) as acting:
        for tool in (computed, template):
            with assert_denied(reason="resource_invalid"):
                tool(url)
        with pytest.raises(ConfigurationError):
            acting.guard.access("read", url)
    assert [] == ran


def test_a_link_that_is_changed_is_seen_by_the_next_call(tmp_path, each_world):
    here, ran = tmp_path.resolve(), []
    for folder in ("docs", "other"):
        (here / folder).mkdir()
        (here / folder / "a").write_text(folder)
    (here / "docs" / "link").symlink_to(here / "docs" / "a")

    @requires(f"read:file://{here}/docs/{{name}}")
    def read(name):
        ran.append((here / "docs" / name).read_text())

    with each_world.guard.acting_as(each_world.issue("reader", allow=[f"read:file://{here}/docs/*"])):
        read("link")
        (here / "docs" / "link").unlink()
        (here / "docs" / "link").symlink_to(here / "other" / "a")
        with pytest.raises(AccessDeniedError):
            read("link")
    assert ["docs"] == ran


def test_a_call_that_names_too_much_is_refused_before_anything_is_made_of_it(each_world):
    """A thousand names twice are a million resources, and half a megabyte of them keeps a guard busy for seconds."""

    @requires("read:crm/{x}/{y}")
    def get(x, y):
        raise AssertionError("ran")

    long = ["e\u0301" * 950 + str(number) for number in range(100)]
    with each_world.guard.acting_as(each_world.issue("reader", allow=["read:crm/**"])):
        for x, y, why in (
            ([str(n) for n in range(101)], [str(n) for n in range(100)], "more than 10000 resources"),
            (long, long, "more than 262144 characters"),
            (["x" * 4000] * 100, ["a"], "more than 262144 characters"),
        ):
            with pytest.raises(AccessDeniedError, match=why):
                get(x, y)


def test_a_file_below_a_fixed_folder_is_decided_as_what_would_be_opened(tmp_path):
    here = tmp_path.resolve()
    for folder in ("docs/sub", "other/sub"):
        (here / folder).mkdir(parents=True)
    (here / "docs" / "a").write_text("fine")
    (here / "other" / "a").write_text("secret")
    (here / "docs" / "link").symlink_to(here / "other" / "sub")
    (here / "docs" / "file").symlink_to(here / "other" / "a")
    ran = []

    @requires(f"read:file://{here}/docs/{{path:path}}")
    def read(path):
        ran.append((here / "docs" / path).read_text())

    @requires(f"read:file://{here}/docs/{{name}}")
    def read_one(name):
        ran.append((here / "docs" / name).read_text())

    with acting_as(allow=[f"read:file://{here}/docs/**"]):
        for tool in (read, read_one):
            tool("a")
            with assert_denied(reason="scope_missing"):
                tool("file")
            # A link that is put there later is seen as well: nothing is remembered.
            (here / "docs" / "a").rename(here / "docs" / "b")
            (here / "docs" / "a").symlink_to(here / "other" / "a")
            with assert_denied(reason="scope_missing"):
                tool("a")
            (here / "docs" / "a").unlink()
            (here / "docs" / "b").rename(here / "docs" / "a")
        for path in ("link/../a", "link/x", "sub/../link/../a"):
            with assert_denied(reason="scope_missing"):
                read(path)
        with assert_denied(reason="resource_invalid"):
            read("../other/a")
    assert ["fine", "fine"] == ran


def injecting(function):
    """A wrapper that puts an argument of its own in front, as one that opens a database does."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function("DB", *args, **kwargs)

    return wrapper


def handing_on(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def test_a_wrapper_that_shifts_arguments_cannot_have_another_one_decided(each_world):
    """Decided is `db="EVIL"` with the default of `customer_id`; the body would get `customer_id="EVIL"`."""
    ran = []

    @requires("read:crm/customers/{customer_id}")
    @injecting
    def get(db=None, customer_id="c-1", note=""):
        ran.append(customer_id)

    with each_world.guard.acting_as(each_world.issue("narrow", allow=["read:crm/customers/c-1"])):
        for args in (("EVIL",), ("EVIL", "c-1")):
            with pytest.raises(TypeError, match="multiple values"):
                get(*args)
        get(customer_id="c-1")
        get()
    assert ["c-1", "c-1"] == ran


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_wrapper_only_hands_on_arrives_however_it_was_passed(is_async, each_world):
    ran = []

    def plain(first, /, x, *more, note="n", **rest):
        ran.append((first, x, more, note, rest))
        return "done"

    async def coroutine(first, /, x, note="n", **rest):
        ran.append((first, x, (), note, rest))
        return "done"

    @functools.wraps(coroutine)
    async def wrapped(*args, **kwargs):
        return await coroutine(*args, **kwargs)

    tool = requires("read:crm/customers/{x}")(wrapped if is_async else handing_on(plain))
    calls = [(1, "c-1"), (1, "c-1", 2, 3)][: 1 if is_async else 2]
    with each_world.guard.acting_as(each_world.agent):
        for args in calls:
            result = tool(*args, note="m", extra=4)
            assert "done" == (asyncio.run(result) if is_async else result)

    assert [(args[0], args[1], args[2:], "m", {"extra": 4}) for args in calls] == ran


def _noted(ran, x):
    ran.append(x)


def test_a_partial_is_decided_with_what_it_holds_at_the_call(each_world):
    ran = []
    held = functools.partial(_noted, ran, x="c-1")
    guarded = requires("read:crm/customers/{x}")(held)
    with each_world.guard.acting_as(each_world.issue("narrow", allow=["read:crm/customers/c-1"])):
        guarded()
        held.keywords["x"] = "EVIL"
        with pytest.raises(AccessDeniedError):
            guarded()
    assert ["c-1"] == ran

"""What `inspect`, `typing`, `pickle` and frameworks see of a guarded function is what they would see without."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import typing

import pytest
from guard.call_kinds import KINDS, each_kind, through_wraps, through_wrapt

from agentid import requires
from agentid.testing import acting_as

GUARDED = requires("read:crm/customers/c-1")


def function(a: int, /, b: str = "b", *rest: float, c: bytes = b"c", **more: bool) -> dict[str, int]:
    """Say hello."""
    return {}


async def coroutine(a: int, b: str = "b") -> int:
    """Say hello."""
    return 1


def generator(a: int, b: str = "b", *, c: int = 3) -> typing.Iterator[int]:
    """Say hello."""
    yield 1


async def async_generator(a: int, b: str = "b") -> typing.AsyncIterator[int]:
    """Say hello."""
    yield 1


FUNCTIONS = [function, coroutine, generator, async_generator]
BARE = [*FUNCTIONS, *map(through_wraps, FUNCTIONS), *map(through_wrapt, FUNCTIONS)]
each_bare = pytest.mark.parametrize("bare", BARE, ids=[f"{bare.__name__}{n // 4}" for n, bare in enumerate(BARE)])

guarded_function = GUARDED(function)
guarded_generator = GUARDED(generator)
guarded_async_generator = GUARDED(async_generator)

# For pickling by name: each stands where its name says.
function_at_home = function
function = guarded_function
generator_at_home = generator
generator = guarded_generator
async_generator_at_home = async_generator
async_generator = guarded_async_generator


class Tools:
    @GUARDED
    def generator(self, a: int) -> typing.Iterator[int]:
        """Say hello."""
        yield a

    @GUARDED
    async def coroutine(self, a: int) -> int:
        """Say hello."""
        return a


@each_bare
def test_inspect_says_the_same(bare):
    guarded = GUARDED(bare)

    for question in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isroutine,
        inspect.isclass,
        callable,
    ):
        assert question(bare) is question(guarded), question.__name__


@each_bare
def test_names_documentation_signature_and_types_are_kept(bare):
    guarded = GUARDED(bare)

    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(bare, name) == getattr(guarded, name), name
    assert inspect.signature(bare) == inspect.signature(guarded)
    assert typing.get_type_hints(bare) == typing.get_type_hints(guarded)
    assert inspect.getdoc(bare) == inspect.getdoc(guarded)
    assert inspect.getsource(bare) == inspect.getsource(guarded)
    assert inspect.unwrap(guarded) is inspect.unwrap(bare)


@each_kind
def test_a_guarded_tool_is_of_the_kind_that_it_was(kind):
    bare = kind.build(lambda body: body, str)
    guarded = kind.build(requires("read:crm/customers/{x}"), str)
    if kind.build.__name__.startswith("guard_over") and not callable(getattr(bare, "__func__", bare)):
        return

    assert inspect.signature(bare) == inspect.signature(guarded)
    for question in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        # Of an object with an async `__call__`, nobody could tell before.
        of_object = inspect.getattr_static(type(bare), "__call__", None)
        assert question(guarded) is (question(bare) or question(of_object)), question


def test_there_is_a_kind_for_each_row_of_the_design():
    """Functions, coroutines, generators, async generators, methods, partials, objects, wrappers, contexts."""
    assert 42 == len({kind.build.__name__ for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("name", ["generator", "coroutine"])
def test_methods_bind_and_are_seen_as_methods(name):
    tools = Tools()
    bound = getattr(tools, name)

    assert inspect.ismethod(bound)
    assert bound.__self__ is tools
    assert "(a: 'int')" == str(inspect.signature(bound)).partition(" ->")[0]
    assert bound.__func__ is getattr(Tools, name) is inspect.getattr_static(Tools, name)
    assert f"Tools.{name}" == bound.__qualname__
    assert inspect.isgeneratorfunction(bound) is (name == "generator")
    assert inspect.iscoroutinefunction(bound) is (name == "coroutine")


@pytest.mark.parametrize("guarded", [guarded_function, guarded_generator, guarded_async_generator, Tools.generator])
def test_guarded_functions_are_pickled_and_copied_by_name(guarded, monkeypatch):
    """As functions are, so that work can be handed to other processes."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())

    assert pickle.loads(pickle.dumps(guarded)) is guarded
    assert copy.copy(guarded) is guarded
    assert copy.deepcopy(guarded) is guarded


def _this_module():
    from types import ModuleType

    module = ModuleType(__name__)
    module.__dict__.update(globals())
    return module


def test_a_partial_goes_by_the_name_of_what_it_holds():
    def look_up(kind: str, name: str) -> str:
        """Look it up."""
        return name

    guarded = requires("read:crm/{kind}/{name}")(functools.partial(look_up, "customers"))

    assert ("look_up", "Look it up.") == (guarded.__name__, guarded.__doc__)
    assert look_up.__qualname__ == guarded.__qualname__
    assert __name__ == guarded.__module__
    assert "(name: 'str') -> 'str'" == str(inspect.signature(guarded))


def test_a_partial_with_a_name_of_its_own_keeps_it():
    def look_up(kind, name):
        return name

    held = functools.partial(look_up, "customers")
    held.__name__ = "find_customer"

    assert "find_customer" == requires("read:crm/{kind}/{name}")(held).__name__


def test_a_callable_object_goes_by_the_name_of_its_class():
    class LookUp:
        """Look it up."""

        def __call__(self, name: str) -> str:
            return name

    guarded = requires("read:crm/customers/{name}")(LookUp())

    assert ("LookUp", "Look it up.", __name__) == (guarded.__name__, guarded.__doc__, guarded.__module__)
    with acting_as(allow=["read:crm/customers/*"]) as world:
        assert "c-1" == guarded("c-1")
    assert "LookUp" == world.records[0].tool


@pytest.mark.parametrize("kind", ["function", "generator", "coroutine"])
def test_attributes_that_a_framework_hung_onto_a_function_are_kept(kind):
    async def coroutine(x):
        return x

    def generator(x):
        yield x

    bare = {"function": lambda x: x, "generator": generator, "coroutine": coroutine}[kind]
    bare.framework = {"a": 1}
    bare._call = "not ours"

    guarded = requires("read:crm/customers/{x}")(bare)

    assert {"a": 1} == guarded.framework
    with acting_as(), pytest.raises(Exception, match="may not"):
        asyncio.run(guarded("c-1")) if kind == "coroutine" else guarded("c-1")


def test_stacked_guards_are_all_asked():
    """Also those of generators, whose guards copy each other's attributes."""
    ran = []

    @requires("read:crm/customers/{x}")
    @requires("read:mail/inbox/{x}")
    def stream(x: str = "c-1"):
        ran.append(x)
        yield x

    for allowed, refused in (("crm/customers", "mail/inbox"), ("mail/inbox", "crm/customers")):
        with acting_as(allow=[f"read:{allowed}/*"]), pytest.raises(Exception, match=f"read:{refused}/c-1"):
            list(stream())
    assert [] == ran
    with acting_as(allow=["read:crm/customers/*", "read:mail/inbox/*"]):
        assert ["c-1"] == list(stream())


def test_a_generator_that_is_guarded_says_so_in_its_repr():
    assert "<guarded <function generator at" in repr(guarded_generator)

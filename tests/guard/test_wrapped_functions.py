"""Functions that other decorators have wrapped already: called as they expect, and never with shifted arguments."""

from __future__ import annotations

import functools

import pytest

from agentid import requires
from agentid.errors import AccessDeniedError, ConfigurationError

REQUIRES = requires("read:crm/customers/{x}")


def looking(function):
    """Looks at the first argument by its place, as a decorator of methods does."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return args[0], function(*args, **kwargs)

    return wrapper


def of_method(function):
    @functools.wraps(function)
    def wrapper(self, *args, **kwargs):
        return self, function(self, *args, **kwargs)

    return wrapper


def by_position(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


class Crm:
    @REQUIRES
    @looking
    def get(self, x, note="n"):
        return x, note

    @REQUIRES
    @of_method
    def find(self, x, note="n"):
        return x, note


def test_a_wrapper_may_look_at_the_first_argument(each_world):
    @REQUIRES
    @looking
    def get(x, note="n"):
        return x, note

    crm = Crm()
    with each_world.guard.acting_as(each_world.agent):
        assert ("c-1", ("c-1", "n")) == get("c-1")
        assert ("c-1", ("c-1", "m")) == get("c-1", "m") == get("c-1", note="m")
        assert (crm, ("c-1", "n")) == crm.get("c-1") == crm.find("c-1") == crm.find(x="c-1")
        assert (crm, ("c-1", "m")) == crm.get("c-1", "m") == crm.find("c-1", "m")


def test_what_such_a_wrapper_hides_is_decided(each_world):
    with each_world.guard.acting_as(each_world.issue("narrow", allow=["read:crm/customers/c-1"])):
        for call in (Crm().get, Crm().find):
            with pytest.raises(AccessDeniedError):
                call("c-2")


def test_a_wrapper_that_takes_no_names_is_refused_when_it_is_decorated():
    with pytest.raises(ConfigurationError, match="by position alone"):

        @REQUIRES
        @by_position
        def get(x, note="n"):
            raise AssertionError("ran")


def test_a_wrapper_that_takes_one_argument_by_position_cannot_shift_it(each_world):
    @REQUIRES
    @by_position
    def get(x):
        return x

    with each_world.guard.acting_as(each_world.agent):
        assert "c-1" == get("c-1") == get(x="c-1")


@pytest.mark.parametrize("in_front", [1, 2])
def test_nothing_can_be_put_in_front_of_the_first_argument(each_world, in_front):
    def injecting(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*["EVIL"] * in_front, *args, **kwargs)

        return wrapper

    ran = []

    @REQUIRES
    @injecting
    def get(first, x="c-1", note="n"):
        ran.append((first, x))

    @REQUIRES
    @injecting
    def get_one(x):
        ran.append(x)

    with each_world.guard.acting_as(each_world.agent):
        for call in (lambda: get("a"), lambda: get("a", "c-1"), lambda: get("a", note="m"), lambda: get_one("c-1")):
            with pytest.raises(TypeError):
                call()
    assert [] == ran


def test_single_dispatch_sees_the_type_of_its_first_argument(each_world):
    @functools.singledispatch
    def get(x):
        return "text"

    @get.register
    def _(x: int):
        return "number"

    guarded = REQUIRES(get)
    with each_world.guard.acting_as(each_world.agent):
        assert ("text", "number") == (guarded("c-1"), guarded(1))


def test_a_cache_of_functools_is_decided_each_time(each_world):
    ran = []

    @REQUIRES
    @functools.lru_cache
    def get(x, note="n"):
        ran.append(x)
        return x

    with each_world.guard.acting_as(each_world.agent):
        assert "c-1" == get("c-1") == get("c-1")
    with each_world.guard.acting_as(each_world.issue("other", allow=["read:crm/customers/c-2"])):
        with pytest.raises(AccessDeniedError):
            get("c-1")
        assert "c-2" == get("c-2")
    assert ["c-1", "c-2"] == ran

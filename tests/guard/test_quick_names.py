"""A parameter may have any name, a built-in one as well, and is never taken for what the wrapper means by it."""

from __future__ import annotations

import builtins
import keyword
import re

import pytest

from agentid import Authority, Guard, requires
from agentid.errors import AccessDeniedError, CredentialRevokedError
from agentid.guard import quick

NAMES = [name for name in dir(builtins) if name.isidentifier() and not keyword.iskeyword(name) and name != "__debug__"]


class Lying(str):
    """Equal to what it is not."""

    __slots__ = ()

    def __hash__(self):
        return hash("1")

    def __eq__(self, other):
        return True


@pytest.fixture
def world():
    authority = Authority.create("test.example")
    return authority, authority.issue("bot", allow=["read:crm/1", "write:bank/fixed"]), Guard(authority.trust)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_called_like_a_builtin_is_only_a_parameter(world, name):
    """Allowed calls run once and give their result, whatever the value; others are refused."""
    _, agent, guard = world
    ran = []
    space = {"ran": ran}
    exec(f"def tool(which, {name}='x'):\n    ran.append(which)\n    return which\n", space)
    exec(f"def fixed({name}):\n    ran.append('fixed')\n    return 'paid'\n", space)
    tool = requires("read:crm/{which}")(space["tool"])
    fixed = requires("write:bank/fixed")(space["fixed"])

    with guard.acting_as(agent):
        for value in ("x", 1, lambda _: str, ValueError):
            assert "paid" == fixed(value)
            assert "1" == tool("1", value)
            with pytest.raises(AccessDeniedError):
                tool(Lying("secret"), value)
    assert "secret" not in ran
    assert 4 == ran.count("fixed")


def test_the_wrapper_uses_no_name_that_a_parameter_could_have():
    """Every name in the text that is written out is its own or a keyword."""
    text = f"{quick._WRAPPER}\n{quick._FIXED}\n{quick._LOOK_UP}"
    words = re.findall(r"(?<![.\w])[A-Za-z_]\w*", re.sub(r"\{\w+\}", "", text))

    assert set() == {word for word in words if not word.startswith("_agentid_") and not keyword.iskeyword(word)}


def test_a_stream_stops_when_its_agent_is_revoked_whatever_its_parameter_is_called(world):
    authority, agent, guard = world

    @requires("write:bank/fixed")
    def feed(type):  # noqa: A002 -- that name is what this is about
        return (number for number in range(3))

    with guard.acting_as(agent):
        feed(lambda _: int)
        items = feed(lambda _: int)
        next(items)
        authority.revoke(agent)
        with pytest.raises(CredentialRevokedError):
            next(items)

"""A stream that one agent opened, and that another one reads on."""

from __future__ import annotations

import pytest

from agentid.errors import AuditUnavailableError
from agentid.guard import current_session

httpx = pytest.importorskip("httpx", reason="httpx is not installed")


def test_what_another_agent_reads_on_runs_as_that_one(world):
    """Whatever the library asks for meanwhile is asked for by who reads, and counted as read by that one."""
    found = []

    class Parts(httpx.SyncByteStream):
        def __iter__(self):
            for part in (b"one", b"three"):
                found.append(current_session().task)
                yield part

    class Answers(httpx.BaseTransport):
        def handle_request(self, request):
            return httpx.Response(200, stream=Parts())

    bot = world.authority.issue("bot", allow=["read:http://a.example/**"])
    other = world.authority.issue("other", allow=["read:http://a.example/**"])
    session = world.guard.acting_as(bot, task="first")
    with httpx.Client(transport=Answers()) as client, session, client.stream("GET", "http://a.example/a") as response:
        parts = response.iter_raw()
        assert b"one" == next(parts)
        with world.guard.acting_as(other, task="second"):
            assert b"three" == next(parts)

    assert ["first", "second"] == found
    assert {("bot", 3), ("other", 5)} == {(record.agent_name, record.size) for record in world.records}


def test_each_agent_that_read_on_is_recorded_also_where_another_one_cannot_be(world):
    class Full:
        def write(self, phase, record):
            if phase == "outcome":
                raise OSError("disk full")

    answers = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(b"data")))
    allow = ["read:http://a.example/**"]
    first = world.make_guard(audit=Full()).acting_as(world.authority.issue("bot", allow=allow))
    client = httpx.Client(transport=answers)
    with client, first:
        response = client.send(client.build_request("GET", "http://a.example/a"), stream=True)
        second = world.guard.acting_as(world.authority.issue("other", allow=allow))
        with second, pytest.raises(AuditUnavailableError):
            list(response.iter_raw())

    assert {("bot", "success"), ("other", "success")} == {(each.agent_name, each.status) for each in world.records}

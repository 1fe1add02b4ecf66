"""`redis`: each command decided before it is sent, by the plain client."""

from __future__ import annotations

import json
import threading

import pytest
from access.redis_server import client, redis, redis_server, server  # noqa: F401
from opentelemetry import trace

from agentid.errors import AccessDeniedError, CredentialRevokedError, Error
from agentid.guard import ObserveOnlyGuard
from agentid.guard.session import NobodyActing


def test_a_command_that_is_allowed_is_sent_and_recorded(world, server, client):  # noqa: F811
    server.client.set("user:42", "a secret value")

    with world.acting(f"read:{server.url}/0/user:*"):
        assert b"a secret value" == client.get("user:42")

    assert [(f"read:{server.url}/0/user:42", "success")] == world.touched
    (span,) = world.spans
    assert (f"GET 127.0.0.1:{server.port}", "CLIENT") == (span.name, span.kind.name)
    wanted = {"db.system.name": "redis", "db.operation.name": "GET", "db.namespace": "0", "server.address": "127.0.0.1"}
    wanted |= {"server.port": server.port, "db.response.returned_rows": 1, "agentid.data.size": 14}
    assert wanted.items() <= dict(span.attributes).items()
    assert (1, 14) == (world.records[0].rows, world.records[0].size)
    assert "secret" not in repr([span.to_json(), world.records, world.audit.lines])


@pytest.mark.parametrize("key", ["k", b"k", memoryview(b"k")], ids=["str", "bytes", "memoryview"])
def test_a_command_that_is_not_allowed_never_leaves(world, server, client, key):  # noqa: F811
    with world.acting(f"read:{server.url}/**"), pytest.raises(AccessDeniedError):
        client.set(key, "v")

    assert [(f"edit:{server.url}/0/k", "denied")] == world.touched
    # Not even a connection was made.
    assert {"config|resetstat", "info"} >= set(server.monitored) - {"client|setinfo", "hello"}
    assert 0 == server.client.exists("k")


def test_a_key_that_is_a_number_and_one_with_slashes_are_named(world, server, client):  # noqa: F811
    with world.acting(f"edit:{server.url}/0/7", f"edit:{server.url}/0/user/42"):
        client.set(7, "v")
        client.set("user/42", "v")

    assert [f"edit:{server.url}/0/7", f"edit:{server.url}/0/user/42"] == [wanted for wanted, _ in world.touched]


def test_the_set_up_of_a_connection_belongs_to_the_access_that_needs_it(world, server):  # noqa: F811
    made = redis.Redis(
        host="127.0.0.1", port=server.port, db=3, client_name="bot", protocol=3, health_check_interval=0.001
    )

    with made, world.acting(f"read:{server.url}/3/k"):
        assert [None, None] == [made.get("k"), made.get("k")]

    assert [(f"read:{server.url}/3/k", "success")] * 2 == world.touched


def test_the_database_is_that_of_the_client(world, server):  # noqa: F811
    other = redis.Redis(host="127.0.0.1", port=server.port, db=2)
    with other, world.acting(f"read:{server.url}/0/**"), pytest.raises(AccessDeniedError):
        other.get("k")


def test_a_pipeline_is_one_access_to_all_that_it_touches(world, server, client):  # noqa: F811
    with world.acting(f"edit:{server.url}/0/*", f"read:{server.url}/0/*"):
        assert [True, b"1"] == client.pipeline().set("a", 1).get("a").execute()
        assert [2, b"2"] == client.pipeline(transaction=False).incr("a").get("a").execute()

    a = f"{server.url}/0/a"
    assert [(f"edit:{a}", f"read:{a}", "success"), (f"read:{a}", f"edit:{a}", "success")] == world.touched
    assert [f"MULTI 127.0.0.1:{server.port}", f"PIPELINE 127.0.0.1:{server.port}"] == [s.name for s in world.spans]


def test_what_a_transaction_leaves_out_is_not_recorded_twice(world, server, client):  # noqa: F811
    with world.acting(f"edit:{server.url}/0/*", f"read:{server.url}/0/*"):
        pipe = client.pipeline().set("a", 1)
        pipe.execute_command("GET", "b", EMPTY_RESPONSE="not sent")
        assert [True, "not sent"] == pipe.execute()

    assert [(f"edit:{server.url}/0/a", f"read:{server.url}/0/b", "success")] == world.touched


def test_an_empty_pipeline_touches_nothing(world, client):  # noqa: F811
    with world.acting("read:crm/**"):
        assert [] == client.pipeline().execute()

    assert [] == world.touched


def test_a_transaction_by_hand_is_decided_command_by_command(world, server, client):  # noqa: F811
    key = f"{server.url}/0/n"

    with world.acting(f"read:{key}", f"edit:{key}"), client.pipeline() as pipe:
        pipe.watch("n")
        value = int(pipe.get("n") or 0)
        pipe.multi()
        pipe.set("n", value + 1)
        pipe.execute()
        pipe.watch("n")
        pipe.unwatch()

    assert [(f"read:{key}", "success")] * 2 + [(f"edit:{key}", "success"), (f"read:{key}", "success")] == world.touched
    assert "1" == server.client.get("n")


def test_a_script_is_execute_on_the_database(world, server, client):  # noqa: F811
    script = client.register_script("return redis.call('SET', KEYS[1], ARGV[1])")

    with world.acting(f"execute:{server.url}/0", f"execute:{server.url}/0/k"):
        script(keys=["k"], args=["v"])
    with world.acting(f"edit:{server.url}/**", f"execute:{server.url}/0/**"), pytest.raises(AccessDeniedError):
        script(keys=["k"], args=["other"])

    assert "v" == server.client.get("k")


def test_looking_through_all_keys_is_a_read_of_the_database(world, server, client):  # noqa: F811
    server.client.mset({"a": 1, "b": 2})

    with world.acting(f"read:{server.url}/0"):
        assert {b"a", b"b"} == set(client.scan_iter()) == set(client.keys("*"))
    with world.acting(f"read:{server.url}/0/**"), pytest.raises(AccessDeniedError):
        client.keys("*")


def test_what_the_server_refuses_is_a_failure(world, server, client):  # noqa: F811
    server.client.set("k", "v")

    with world.acting(f"write:{server.url}/0/k"), pytest.raises(redis.ResponseError):
        client.lpush("k", "v")

    assert [(f"write:{server.url}/0/k", "failure")] == world.touched


def test_errors_of_the_library_stay_what_they_are(world, server, client):  # noqa: F811
    with world.acting(f"edit:{server.url}/0/k"), pytest.raises(redis.DataError):
        client.set("k", None)
    nowhere = redis.Redis(host="127.0.0.1", port=1)
    with nowhere, world.acting("read:redis://127.0.0.1:1/0/k"), pytest.raises(redis.ConnectionError):
        nowhere.get("k")

    assert [("read:redis://127.0.0.1:1/0/k", "failure")] == world.touched


def test_channels_are_named_and_each_subscription_is_read_under_one_access(world, server, client):  # noqa: F811
    channel = f"{server.url}/channels/news"

    with world.acting(f"read:{channel}", f"write:{channel}"), client.pubsub() as pubsub:
        pubsub.subscribe("news")
        assert "subscribe" == pubsub.get_message(timeout=5)["type"]
        client.publish("news", "one")
        client.publish("news", "two")
        assert [b"one", b"two"] == [pubsub.get_message(timeout=5)["data"] for _ in range(2)]

    listened = [record for record in world.records if record.tool.startswith("LISTEN")]
    assert [(3, "success")] == [(record.rows, record.status) for record in listened]
    assert [f"read:{channel}", f"write:{channel}", f"write:{channel}", f"read:{channel}"] == [
        w for w, _ in world.touched
    ]


def test_a_pattern_is_a_read_of_all_channels(world, server, client):  # noqa: F811
    with world.acting(f"read:{server.url}/channels/**"), client.pubsub() as pubsub, pytest.raises(AccessDeniedError):
        pubsub.psubscribe("n*")

    assert [(f"read:{server.url}/channels", "denied")] == world.touched


def test_an_agent_that_is_revoked_gets_no_further_message(world, server, client):  # noqa: F811
    bot = world.authority.issue("bot", allow=[f"read:{server.url}/channels/news"])

    with world.guard.acting_as(bot), client.pubsub() as pubsub:
        pubsub.subscribe("news")
        pubsub.get_message(timeout=5)
        with NobodyActing():
            server.client.publish("news", "late")
        world.authority.revoke(bot)
        with pytest.raises(CredentialRevokedError):
            pubsub.get_message(timeout=5)

    assert "stopped" == world.records[-1].status


def test_a_monitor_is_execute_on_the_database_also_while_it_is_read(world, server, client):  # noqa: F811
    with world.acting(f"read:{server.url}", f"execute:{server.url}/0"), client.monitor() as monitor:
        with NobodyActing():
            server.client.get("k")
        assert "GET k" == monitor.next_command()["command"]
    with client.monitor() as monitor, world.acting(f"read:{server.url}/**"), pytest.raises(AccessDeniedError):
        monitor.next_command()


def test_a_unix_socket_is_named_by_its_path(world, server):  # noqa: F811
    with redis.Redis(unix_socket_path=server.path) as made, world.acting(f"edit:redis://{server.path}/0/k"):
        assert made.set("k", "v")

    assert [(f"edit:redis://{server.path}/0/k", "success")] == world.touched


def test_outside_of_a_session_nothing_is_decided_and_nothing_recorded(world, client):  # noqa: F811
    assert client.set("k", "v")
    assert [b"v"] == client.pipeline().get("k").execute()

    assert ([], ()) == (world.touched, world.spans)


def test_a_guard_that_only_observes_lets_it_through(world, client):  # noqa: F811
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        assert client.set("k", "v")
        assert [b"v"] == client.pipeline().get("k").execute()
        with client.pubsub() as pubsub:
            pubsub.subscribe("news")
            assert pubsub.get_message(timeout=5)

    assert ["would_deny"] * 4 == [record.effect for record in world.records]


def test_a_person_is_asked_before_anything_is_sent(world, server, client):  # noqa: F811
    with world.acting(ask=[f"delete:{server.url}/0/k"]), pytest.raises(Error):
        client.delete("k")

    assert [(f"delete:{server.url}/0/k", "denied")] == world.touched


def test_sessions_in_threads_do_not_mix(world, server, client):  # noqa: F811
    barrier, found = threading.Barrier(2), {}

    def work(key):
        with world.acting(f"edit:{server.url}/0/{key}"):
            barrier.wait()
            for other in ("a", "b"):
                try:
                    found[key, other] = client.set(other, key)
                except AccessDeniedError:
                    found[key, other] = "denied"

    threads = [threading.Thread(target=work, args=(key,)) for key in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {("a", "a"): True, ("a", "b"): "denied", ("b", "a"): "denied", ("b", "b"): True} == found


def test_the_span_is_below_the_one_that_is_current(world, server, client):  # noqa: F811
    tracer = world.captured.provider.get_tracer("test")

    with tracer.start_as_current_span("outer") as outer, world.acting(f"read:{server.url}/0/k"):
        client.get("k")
        assert outer is trace.get_current_span()

    (span, _) = world.spans
    assert outer.get_span_context().span_id == span.parent.span_id
    assert json.loads(span.to_json())["status"]["status_code"] != "ERROR"

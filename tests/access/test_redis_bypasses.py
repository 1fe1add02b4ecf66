"""`redis`: every known way around a client's `execute_command`, and what else could be one."""

from __future__ import annotations

import socket
import threading

import pytest
from access.redis_server import (  # noqa: F401
    client,
    connection_from,
    redis,
    redis_cluster,
    redis_server,
    sentinel,
    server,
)

import agentid.access
from agentid.errors import AccessDeniedError
from agentid.guard.session import NobodyActing

refused = pytest.raises(AccessDeniedError)


@pytest.fixture
def connection(client):  # noqa: F811
    """A connection that the program made, before any agent acted."""
    made = connection_from(client)
    yield made
    client.connection_pool.release(made)


def _elsewhere(work):
    with NobodyActing():
        return work()


def test_a_pipeline_is_not_a_way_around(world, server, client):  # noqa: F811
    for transaction in (True, False):
        with world.acting(f"read:{server.url}/**", f"read:{server.url}/0"), refused:
            client.pipeline(transaction=transaction).get("a").set("b", 1).execute()

    assert 0 == server.client.exists("b")


def test_immediate_commands_of_a_pipeline_are_not_a_way_around(world, server, client):  # noqa: F811
    with world.acting("read:crm/**"):
        for work in (lambda pipe: pipe.watch("k"), lambda pipe: pipe.immediate_execute_command("SET", "k", "v")):
            with client.pipeline() as pipe, refused:
                work(pipe)

    assert 0 == server.client.exists("k")


def test_a_subscription_is_not_a_way_around(world, server, client):  # noqa: F811
    with world.acting("read:crm/**"), client.pubsub() as pubsub:
        with refused:
            pubsub.subscribe("news")
        with refused:
            pubsub.execute_command("SSUBSCRIBE", "news")

    assert [f"read:{server.url}/channels/news"] * 2 == [wanted for wanted, _ in world.touched]


@pytest.mark.parametrize(
    "work",
    [
        lambda connection: connection.send_command("SET", "k", "v"),
        lambda connection: connection.send_packed_command(connection.pack_command("SET", "k", "v")),
        lambda connection: connection.send_packed_command(b"".join(connection.pack_command("SET", "k", "v"))),
        lambda connection: connection.send_packed_command(
            command=connection.pack_commands([("PING",), ("SET", "k", "v")])
        ),
        lambda connection: connection.send_packed_command(iter(connection.pack_command("SET", "k", "v"))),
        lambda connection: connection.send_packed_command([b"SET k v\r\n"]),
        lambda connection: connection.send_packed_command(connection.pack_command("SET", "k", "v")[0][:9]),
    ],
    ids=["command", "packed", "bytes", "several", "iterator", "inline", "half"],
)
def test_a_connection_by_hand_is_not_a_way_around(world, server, connection, work):  # noqa: F811
    with world.acting(f"read:{server.url}"), refused:
        work(connection)

    assert 0 == server.client.exists("k")


def test_a_connection_by_hand_does_what_is_allowed(world, server, client):  # noqa: F811
    with world.acting(f"read:{server.url}", f"edit:{server.url}/0/k"):
        made = connection_from(client)
        made.send_command("SET", "k", "v")
        assert b"OK" == made.read_response()
        client.connection_pool.release(made)

    assert [(f"read:{server.url}", "success"), (f"edit:{server.url}/0/k", "success")] == world.touched


def test_to_connect_by_hand_is_decided_before_a_byte_leaves(world, server):  # noqa: F811
    made = redis.Connection(host="127.0.0.1", port=server.port, client_name="what-the-agent-knows", password="or-this")

    with world.acting(f"read:{server.url}/**"):
        for connect in (made.connect, made._connect, lambda: made.send_command("PING")):
            with refused:
                connect()

    assert made._sock is None
    assert {("read:" + server.url, "denied")} == set(world.touched)


def test_a_connection_that_does_not_say_where_it_leads_is_refused(world, server):  # noqa: F811
    class Nowhere(redis.Connection):
        host = property(lambda self: None, lambda self, value: None)

        def _connect(self):
            raise AssertionError("it must not be made")

    with world.acting("read:redis://*/**", f"read:{server.url}"):
        for work in (lambda made: made.connect(), lambda made: made.send_command("GET", "k")):
            with refused:
                work(Nowhere(port=server.port))
        with refused:
            redis.Redis(connection_pool=redis.ConnectionPool(Nowhere, port=server.port)).get("k")
        pubsub = redis.Redis(host="127.0.0.1", port=server.port).pubsub()
        pubsub.connection = Nowhere(port=server.port)
        with refused:
            pubsub.parse_response()
        pubsub.connection = None


def test_the_methods_that_public_ones_stand_on_are_not_a_way_around(world, server, client):  # noqa: F811
    with world.acting("read:crm/**"):
        with refused:
            client._execute_command("SET", "k", "v")
        with refused:
            client.pipeline()._execute_pipeline(connection_from(client), [(("SET", "k", "v"), {})], True)
        pubsub = client.pubsub()
        pubsub.connection = None
        with refused:
            pubsub._execute(redis.Connection(port=server.port), lambda: redis.Connection(port=server.port).connect())

    assert 0 == server.client.exists("k")


def test_a_subclass_with_a_method_of_its_own_is_not_a_way_around(world, server):  # noqa: F811
    class Own(redis.Redis):
        def execute_command(self, *args, **options):
            return self._execute_command(*args, **options)

    with Own(host="127.0.0.1", port=server.port) as own, world.acting("read:crm/**"), refused:
        own.set("k", "v")

    assert 0 == server.client.exists("k")


def test_an_argument_that_changes_between_decision_and_use_is_decided_again(world, server, client):  # noqa: F811
    class Turning(str):
        __slots__ = ()
        calls = 0

        def encode(self, *_):
            Turning.calls += 1
            return b"mine" if Turning.calls == 1 else b"theirs"

    with world.acting(f"edit:{server.url}/0/mine", f"read:{server.url}"), refused:
        client.set(Turning("mine"), "v")

    assert [] == server.client.keys("*")
    assert (f"edit:{server.url}/0/theirs", "denied") == world.touched[0]


def test_bytes_that_change_while_a_connection_is_made_are_sent_as_they_were_decided(world, server):  # noqa: F811
    chunks = [bytearray(b"*3\r\n$3\r\nSET\r\n$4\r\nmine\r\n$1\r\nv\r\n")]

    def connect(connection):
        connection.on_connect()
        chunks[0][:] = chunks[0].replace(b"mine", b"hers")

    made = redis.Connection(host="127.0.0.1", port=server.port, redis_connect_func=connect)
    with world.acting(f"edit:{server.url}/0/mine"):
        made.send_packed_command(chunks)
        assert b"OK" == made.read_response()
    made.disconnect()

    assert ["mine"] == server.client.keys("*")


def test_commands_that_are_added_while_a_pipeline_is_decided_are_decided_too(world, server, client):  # noqa: F811
    pipe = client.pipeline()
    pipe.set("mine", 1)

    def connect(connection):
        # The library calls this when it connects, after the pipeline was decided.
        pipe.command_stack.append((("SET", "theirs", 1), {}))
        connection.on_connect()

    client.connection_pool.connection_kwargs["redis_connect_func"] = connect
    with world.acting(f"edit:{server.url}/0/mine"), refused:
        pipe.execute()

    assert 0 == server.client.exists("mine", "theirs")


def test_what_a_callback_of_the_library_does_is_decided(world, server, client):  # noqa: F811
    def connect(connection):
        connection.on_connect()
        connection.send_command("SET", "theirs", "v")

    client.connection_pool.connection_kwargs["redis_connect_func"] = connect
    with world.acting(f"read:{server.url}/0/k"), refused:
        client.get("k")

    assert 0 == server.client.exists("theirs")


def test_a_callback_makes_no_socket_of_its_own(world, server):  # noqa: F811
    """What the library reaches is accounted for, and not what code runs that somebody handed to it."""

    class Provider(redis.CredentialProvider):
        def get_credentials(self):
            socket.create_connection(("127.0.0.1", server.port)).close()
            return ("default", "")

    agentid.access.install(strict=True)
    made = redis.Redis(host="127.0.0.1", port=server.port, credential_provider=Provider())
    with made, world.acting(f"read:{server.url}/0/k"), pytest.raises(AccessDeniedError, match="second door: socket"):
        made.get("k")
    with redis.Redis(host="127.0.0.1", port=server.port) as plain, world.acting(f"read:{server.url}/0/k"):
        assert plain.get("k") is None


def test_a_callback_may_not_connect_to_another_server(world, server, client):  # noqa: F811
    other = redis.Connection(host="localhost", port=server.port)
    client.set_response_callback("GET", lambda _: other.connect())
    with world.acting(f"read:{server.url}/0/k", f"edit:{server.url}/0/k"):
        client.set("k", "v")
        with refused:
            client.get("k")


def test_a_callback_may_not_send_the_same_command_to_another_database(world, server, client):  # noqa: F811
    other = redis.Connection(host="127.0.0.1", port=server.port, db=1)
    other.connect()
    client.set_response_callback("GET", lambda _: other.send_command("GET", "k"))
    server.client.set("k", "v")
    with world.acting(f"read:{server.url}/0/k"), refused:
        client.get("k")
    other.disconnect()

    assert f"read:{server.url}/1/k" == world.touched[0][0]


def test_a_callback_that_acts_as_somebody_else_is_decided_as_them(world, server, client, connection):  # noqa: F811
    def as_another(_):
        with world.acting("read:crm/**"):
            connection.send_command("GET", "k")

    client.set_response_callback("GET", as_another)
    server.client.set("k", "v")
    with world.acting(f"read:{server.url}/0/k"), refused:
        client.get("k")


def test_a_task_that_goes_on_after_an_access_is_decided(world, server, client):  # noqa: F811
    """What was decided holds in its block, and not for whoever took its context along."""
    import contextvars

    kept = []
    client.set_response_callback("GET", lambda _: kept.append(contextvars.copy_context()))
    bot = world.authority.issue("bot", allow=[f"read:{server.url}/0/k"])
    with world.guard.acting_as(bot):
        client.get("k")
        client.get("k")
        made = _elsewhere(lambda: connection_from(client))
        world.authority.revoke(bot)
        with pytest.raises(Exception, match="revoked"):
            kept[0].run(made.send_command, "GET", "k")


def test_to_select_another_database_is_refused_wherever(world, server, client, connection):  # noqa: F811
    with world.acting(f"read:{server.url}", f"read:{server.url}/**", f"execute:{server.url}/0"):
        with refused:
            client.select(1)
        with refused:
            connection.send_command("SELECT", 1)
        with refused:
            client.pipeline().select(1).get("k").execute()
        assert client.select(0)


def test_a_cache_that_answers_without_the_server_is_decided(world, server):  # noqa: F811
    from redis.cache import CacheConfig, CacheFactory
    from redis.connection import CacheProxyConnection, Connection

    inner = Connection(host="127.0.0.1", port=server.port, protocol=3)
    inner.connect()
    cached = CacheProxyConnection(inner, CacheFactory(CacheConfig()).get_cache(), threading.RLock())
    server.client.set("k", "v")
    cached.send_command("GET", "k", keys=["k"])
    assert b"v" == cached.read_response()
    try:
        with world.acting("read:crm/**"), refused:
            cached.send_command("GET", "k", keys=["k"])
        with world.acting(f"read:{server.url}/0/k"):
            cached.send_command("GET", "k", keys=["k"])
            assert b"v" == cached.read_response()
    finally:
        inner.disconnect()

    assert ["denied", "success"] == [status for _, status in world.touched]


def test_messages_of_a_subscription_that_the_program_made_are_decided(world, server, client):  # noqa: F811
    with client.pubsub() as pubsub:
        pubsub.subscribe("news")
        assert pubsub.get_message(timeout=5)
        server.client.publish("news", "a secret")
        with world.acting("read:crm/**"):
            for read in (lambda: pubsub.get_message(timeout=5), lambda: next(pubsub.listen()), pubsub.parse_response):
                with refused:
                    read()
            pubsub.channels.clear()
            with refused:
                pubsub.parse_response()

    assert f"read:{server.url}/channels" == world.touched[-1][0]


def test_patterns_and_sharded_channels_that_the_program_made_are_decided_too(world, server, client):  # noqa: F811
    for subscribe in (lambda p: p.psubscribe("other*"), lambda p: p.ssubscribe("other")):
        with client.pubsub() as pubsub:
            pubsub.subscribe("news")
            subscribe(pubsub)
            with world.acting(f"read:{server.url}/channels/news"), refused:
                pubsub.get_message(timeout=5)


def test_a_channel_that_is_added_by_the_program_is_decided_too(world, server, client):  # noqa: F811
    with client.pubsub() as pubsub, world.acting(f"read:{server.url}/channels/news", f"read:{server.url}/channels"):
        pubsub.subscribe("news")
        assert pubsub.get_message(timeout=5)
        for channel in ("others", "a//b"):
            _elsewhere(lambda name=channel: pubsub.subscribe(name))
            with refused:
                pubsub.get_message(timeout=5)


def test_a_key_that_no_resource_can_name_is_refused(world, server, client):  # noqa: F811
    with world.acting(f"read:{server.url}/**", f"read:{server.url}/0"):
        for key in (b"\xff", "", "a/../b", "a//b", "e\u0301"):
            with refused:
                client.get(key)

    assert [("denied",)] * 5 == world.touched


def test_a_transaction_that_somebody_else_queued_is_execute_on_the_database(world, server, connection):  # noqa: F811
    for command in (("MULTI",), ("SET", "k", "v")):
        connection.send_command(*command)
        connection.read_response()

    with world.acting(f"edit:{server.url}/**"), refused:
        connection.send_command("EXEC")

    assert 0 == server.client.exists("k")


def test_a_client_of_a_cluster_is_seen_at_its_connections(world, redis_cluster):  # noqa: F811
    """It has methods of its own, but its nodes have connections of the same kind."""
    node = redis_cluster.url
    cluster = redis.RedisCluster(host="127.0.0.1", port=redis_cluster.port)
    with cluster, world.acting(f"read:{node}", f"read:{node}/0/mine"):
        assert cluster.get("mine") is None
        for work in (lambda: cluster.get("theirs"), lambda: cluster.pipeline().get("mine").get("theirs").execute()):
            with refused:
                work()

    wanted = [touched for touched in world.touched if "/0/" in touched[0]]
    assert (f"read:{node}/0/mine", "success") == wanted[0]
    assert {"denied"} == {status for *_, status in wanted[1:]}


def test_a_client_of_a_cluster_may_not_even_ask_for_its_nodes(world, redis_cluster):  # noqa: F811
    with world.acting("read:crm/**"), pytest.raises(redis.exceptions.RedisClusterException, match=r"access\.denied"):
        redis.RedisCluster(host="127.0.0.1", port=redis_cluster.port)


def test_what_a_sentinel_leads_to_is_decided_once_it_has_said_so(world, server, sentinel):  # noqa: F811
    from redis.sentinel import Sentinel

    found = Sentinel([("127.0.0.1", sentinel.port)]).master_for("main")
    with found, world.acting(f"read:{sentinel.url}", f"read:{server.url}", f"edit:{server.url}/0/mine"):
        assert found.set("mine", "v")
        with refused:
            found.set("theirs", "v")
    with found, world.acting(f"read:{sentinel.url}", f"edit:{server.url}/0/mine"), refused:
        found.set("mine", "w")

    assert ["mine"] == server.client.keys("*")

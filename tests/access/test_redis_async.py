"""`redis.asyncio`: the same, by the clients that wait otherwise."""

from __future__ import annotations

import asyncio

import pytest
from access.redis_server import connection_from, redis, redis_cluster, redis_server, server  # noqa: F401

import agentid.access
from agentid.errors import AccessDeniedError, CredentialRevokedError
from agentid.guard import ObserveOnlyGuard
from agentid.guard.session import NobodyActing

refused = pytest.raises(AccessDeniedError)


def run(work, server, **options):  # noqa: F811
    """Run *work* with a client that is made and closed outside of its session."""

    async def inner():
        client = redis.asyncio.Redis(host="127.0.0.1", port=server.port, **options)
        try:
            return await work(client)
        finally:
            with NobodyActing():
                await client.aclose()

    return asyncio.run(inner())


def test_a_command_that_is_allowed_is_sent_and_recorded(world, server):  # noqa: F811
    server.client.set("k", "value")

    async def work(client):
        with world.acting(f"read:{server.url}/3/k", f"edit:{server.url}/3/k"):
            return await client.set("k", "value"), await client.get("k")

    assert (True, b"value") == run(work, server, db=3, client_name="bot", protocol=3, socket_timeout=5)
    assert [(f"edit:{server.url}/3/k", "success"), (f"read:{server.url}/3/k", "success")] == world.touched
    assert (1, 5) == (world.records[1].rows, world.records[1].size)
    assert [f"SET 127.0.0.1:{server.port}", f"GET 127.0.0.1:{server.port}"] == [span.name for span in world.spans]


@pytest.mark.parametrize(
    "work",
    [
        lambda client: client.set("k", "v"),
        lambda client: client.pipeline().set("k", "v").execute(),
        lambda client: client.pipeline(transaction=False).set("k", "v").execute(),
        lambda client: client.pipeline().watch("k"),
        lambda client: client.pipeline().immediate_execute_command("SET", "k", "v"),
        lambda client: client.pubsub().subscribe("news"),
        lambda client: client.eval("return 1", 0),
        connection_from,
        lambda client: client.monitor().connect(),
    ],
    ids=["plain", "transaction", "pipeline", "watch", "immediate", "subscribe", "script", "connect", "monitor"],
)
def test_what_is_not_allowed_never_leaves(world, server, work):  # noqa: F811
    async def inner(client):
        with world.acting(f"read:{server.url}/0/other"), refused:
            await work(client)

    run(inner, server)

    assert ["denied"] == [status for *_, status in world.touched]
    assert [] == server.client.keys("*")


@pytest.mark.parametrize(
    "work",
    [
        lambda connection, packed: connection.send_command("SET", "k", "v"),
        lambda connection, packed: connection.send_packed_command(packed),
        lambda connection, packed: connection.send_packed_command(b"".join(packed)),
        lambda connection, packed: connection._send_packed_command(packed),
        lambda connection, packed: connection.send_packed_command([b"SET k v\r\n"]),
    ],
    ids=["command", "packed", "bytes", "private", "inline"],
)
def test_a_connection_by_hand_is_not_a_way_around(world, server, work):  # noqa: F811
    async def inner(client):
        connection = await connection_from(client)
        with world.acting(f"read:{server.url}"), refused:
            await work(connection, connection.pack_command("SET", "k", "v"))
        await client.connection_pool.release(connection)

    run(inner, server)

    assert [] == server.client.keys("*")


def test_where_it_is_strict_its_own_sockets_are_accounted_for(world, server):  # noqa: F811
    agentid.access.install(strict=True)

    async def work(client):
        unix = redis.asyncio.Redis(unix_socket_path=server.path)
        with world.acting(f"read:{server.url}/0/k", f"read:redis://{server.path}/0/k"):
            await client.get("k")
            await unix.get("k")
        await unix.aclose()

    run(work, server)

    assert ["success"] * 2 == [status for _, status in world.touched]


def test_a_transaction_is_decided_where_it_is_sent(world, server):  # noqa: F811
    key = f"{server.url}/0/n"

    async def work(client):
        with world.acting(f"read:{key}", f"edit:{key}"):
            async with client.pipeline() as pipe:
                await pipe.watch("n")
                value = int(await pipe.get("n") or 0)
                pipe.multi()
                pipe.set("n", value + 1)
                return await pipe.execute()

    assert [True] == run(work, server)
    assert [(f"read:{key}", "success")] * 2 + [(f"edit:{key}", "success")] == world.touched


def test_a_pipeline_is_named_by_whether_it_is_a_transaction(world, server):  # noqa: F811
    async def work(client):
        with world.acting(f"edit:{server.url}/0/k"):
            await client.pipeline(transaction=True).set("k", "v").execute()
            await client.pipeline(transaction=False).set("k", "v").execute()

    run(work, server)

    assert [f"MULTI 127.0.0.1:{server.port}", f"PIPELINE 127.0.0.1:{server.port}"] == [s.name for s in world.spans]
    assert 2 == len(world.records)


def test_tasks_of_two_agents_do_not_mix(world, server):  # noqa: F811
    async def one(client, key):
        with world.acting(f"edit:{server.url}/0/{key}"):
            await asyncio.gather(*(client.set(key, "v") for _ in range(5)))
            with refused:
                await client.set("b" if key == "a" else "a", "v")

    async def work(client):
        await asyncio.gather(one(client, "a"), one(client, "b"))

    run(work, server)

    assert ["denied"] * 2 + ["success"] * 10 == sorted(status for *_, status in world.touched)


def test_a_subscription_is_read_under_one_access_until_its_agent_is_revoked(world, server):  # noqa: F811
    channel = f"{server.url}/channels/news"
    bot = world.authority.issue("bot", allow=[f"read:{channel}"])

    async def work(client):
        with world.guard.acting_as(bot):
            async with client.pubsub() as pubsub:
                await pubsub.subscribe("news")
                await pubsub.get_message(timeout=5)
                with NobodyActing():
                    await client.publish("news", "one")
                    await client.publish("news", "two")
                assert b"one" == (await pubsub.get_message(timeout=5))["data"]
                world.authority.revoke(bot)
                with pytest.raises(CredentialRevokedError):
                    await pubsub.get_message(timeout=5)

    run(work, server)

    assert [(f"read:{channel}", "success"), (f"read:{channel}", "stopped")] == world.touched
    assert 2 == world.records[-1].rows


def test_messages_of_a_subscription_that_the_program_made_are_decided(world, server):  # noqa: F811
    async def work(client):
        async with client.pubsub() as pubsub:
            await pubsub.subscribe("news")
            await pubsub.get_message(timeout=5)
            await client.publish("news", "a secret")
            with world.acting("read:crm/**"), refused:
                await pubsub.get_message(timeout=5)
            with world.acting("read:crm/**"), refused:
                await pubsub.listen().__anext__()

    run(work, server)


def test_a_monitor_that_the_program_made_is_decided(world, server):  # noqa: F811
    async def work(client):
        async with client.monitor() as monitor:
            server.client.get("k")
            with world.acting(f"execute:{server.url}/0"):
                assert "GET k" == (await monitor.next_command())["command"]
            server.client.get("k")
            with world.acting(f"read:{server.url}/**"), refused:
                await monitor.next_command()

    run(work, server)


def test_errors_of_the_library_stay_what_they_are(world, server):  # noqa: F811
    async def work(client):
        with world.acting(f"edit:{server.url}/0/k", f"write:{server.url}/0/k"):
            await client.set("k", "v")
            with pytest.raises(redis.ResponseError):
                await client.lpush("k", "v")
            with pytest.raises(redis.DataError):
                await client.set("k", None)

    run(work, server)

    assert ["success", "failure"] == [status for _, status in world.touched]


def test_outside_of_a_session_nothing_is_decided_and_nothing_recorded(world, server):  # noqa: F811
    async def work(client):
        await client.set("k", "v")
        return await client.pipeline().get("k").execute()

    assert [b"v"] == run(work, server)
    assert ([], ()) == (world.touched, world.spans)


def test_a_guard_that_only_observes_lets_it_through(world, server):  # noqa: F811
    async def work(client):
        with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
            await client.set("k", "v")
            return await client.pipeline().get("k").execute()

    assert [b"v"] == run(work, server)
    assert ["would_deny"] * 2 == [record.effect for record in world.records]


def test_a_client_of_a_cluster_is_seen_at_its_connections(world, redis_cluster):  # noqa: F811
    node = redis_cluster.url

    async def work():
        async with redis.asyncio.RedisCluster(host="127.0.0.1", port=redis_cluster.port) as cluster:
            with world.acting(f"read:{node}", f"read:{node}/0/mine"):
                assert await cluster.get("mine") is None
                with refused:
                    await cluster.get("theirs")
                with refused:
                    await cluster.pipeline().get("mine").get("theirs").execute()

    asyncio.run(work())

    wanted = [touched for touched in world.touched if "/0/" in touched[0]]
    assert (f"read:{node}/0/mine", "success") == wanted[0]
    assert {"denied"} == {status for *_, status in wanted[1:]}

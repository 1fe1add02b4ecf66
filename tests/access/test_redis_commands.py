"""What commands of Redis touch, held against what the server says of every command it has."""

from __future__ import annotations

import pytest
from access.redis_server import redis, redis_server  # noqa: F401

from agentid.access.redis.commands import accesses_of, is_set_up, name_of, spec_of
from agentid.access.redis.place import Place
from agentid.access.redis.wire import command_of, joined, packed, unpacked
from agentid.errors import ConfigurationError

PLACE = Place.at("h", 6379, None, 0)
ACTION_OF_FLAG = {"access": "read", "insert": "write", "update": "edit", "delete": "delete"}

# Of the version that this was written for, all but `PFDEBUG`, which is for those who develop the server.
MISSING = """
    PFDEBUG HEXPIRE HEXPIREAT HEXPIRETIME HPERSIST HPEXPIRE HPEXPIREAT HPEXPIRETIME HPTTL HTTL HGETDEL HGETEX HSETEX
    XDELEX XACKDEL DELEX DIGEST MSETEX
"""

# Of commands that have a number which says how many keys follow, or a word after which they stand; else guessed.
SHAPES = """
    EVAL script 2 k1 k2 a
    EVALSHA sha 2 k1 k2 a
    EVAL_RO s 1 k1
    FCALL f 1 k1
    EVALSHA_RO s 1 k1
    FCALL_RO f 1 k1
    LMPOP 2 k1 k2 LEFT
    ZMPOP 2 k1 k2 MIN
    BLMPOP 0 2 k1 k2 LEFT
    BZMPOP 0 2 k1 k2 MIN
    SINTERCARD 2 k1 k2 LIMIT 3
    ZINTERCARD 2 k1 k2
    ZDIFF 2 k1 k2
    ZINTER 2 k1 k2 WITHSCORES
    ZUNION 1 k1
    ZDIFFSTORE d 2 k1 k2
    ZINTERSTORE d 2 k1 k2 WEIGHTS 1 2
    ZUNIONSTORE d 1 k1
    XREAD COUNT 1 BLOCK 0 STREAMS k1 k2 0 0
    XREADGROUP GROUP g c COUNT 1 NOACK STREAMS k1 k2 > >
    SORT k1 LIMIT 0 1 ASC STORE d
    MIGRATE h 1 k1 0 1 COPY
    GEORADIUS k1 1 2 3 m STORE d
    GEORADIUSBYMEMBER k1 m 3 m STOREDIST d
    SET k1 v
    BITFIELD k1 SET u8 0 1
    GEOSEARCHSTORE d k1 FROMMEMBER m BYRADIUS 1 m
    MSET k1 v k2 v
    MSETNX k1 v k2 v
    LCS k1 k2 LEN
    COPY k1 k2 REPLACE
    BITOP AND d k1 k2
    BLPOP k1 k2 0
    BRPOP k1 k2 0
    BZPOPMIN k1 k2 0
    BZPOPMAX k1 k2 0
    MOVE k1 1
    SELECT 0
    PFMERGE d k1
    XADD k1 * f v
"""

VARIANTS = """
    SET k1 v GET
    SET k1 v EX 1 get
    MIGRATE h 1 '' 0 1 KEYS k1 k2
    MIGRATE h 1 '' 0 1 AUTH KEYS KEYS k1
    MIGRATE h 1 '' 0 1 AUTH2 KEYS KEYS KEYS k1
    XREAD BLOCK 1 STREAMS STREAMS 0
    SORT k1 BY nosort GET # STORE STORE
    SORT STORE STORE d ALPHA
    SORT k1 GET STORE LIMIT 0 1
    EVAL s 0
    FCALL f 0 a
    GEORADIUS k1 1 2 3 m COUNT 1 ASC STOREDIST d
    ZUNION 1 k1
    SORT k1 STORE d STORE e
    COPY k1 k2 DB 0
    BITOP NOT d k1
    PFCOUNT k1 k2 k3
    PFMERGE d k1 k2
"""


def lines_of(text):
    return [line.strip() for line in text.strip().splitlines()]


def words(line):
    return tuple(b"" if word == "''" else word.encode() for word in line.split())


def touched(line, place=PLACE):
    return [str(access).replace("redis://h:6379", "@") for access in accesses_of([words(line)], place)]


def _entries(client):
    def flat(value):
        return value if isinstance(value, dict) else dict(zip(value[::2], value[1::2], strict=True))

    def walk(entry):
        if entry[9]:
            for child in entry[9]:
                yield from walk(child)
        else:
            specs = [flat(spec) for spec in entry[8]]
            yield entry[0].upper(), entry[1], [set(spec["flags"]) for spec in specs]

    client.response_callbacks.clear()
    for entry in client.execute_command("COMMAND"):
        yield from walk(entry)


def _sample(name, arity):
    for line in lines_of(SHAPES):
        if line.startswith(f"{name} "):
            return line
    parts = name.split("|")
    return " ".join([*parts, *(f"a{n}" for n in range(max(abs(arity), 2) - len(parts)))])


def _keys(client, line):
    """Which keys the server sees, each with what is done to it."""
    try:
        found = client.execute_command("COMMAND", "GETKEYSANDFLAGS", *words(line))
    except redis.ResponseError:
        return {}  # it has none, or is none
    seen = {}
    for key, flags in found:
        actions = {ACTION_OF_FLAG[flag] for flag in flags if flag in ACTION_OF_FLAG}
        if not actions and "not_key" not in flags:
            actions = {"read"}
        seen.setdefault(key, set()).update(actions)
    return seen


@pytest.fixture(scope="module")
def commands(redis_server):  # noqa: F811
    return list(_entries(redis_server.client))


def test_the_table_agrees_with_the_server_about_the_keys_of_every_command(redis_server, commands):  # noqa: F811
    """Each key that the server sees is touched, by all that the server says is done to it, and no other key is."""
    assert 200 < len(commands)
    lines = [_sample(name, arity) for name, arity, _ in commands] + lines_of(VARIANTS)
    compared = set()
    for line in lines:
        spec = spec_of(words(line))
        if not spec or spec.split("|")[0] in {"PUBLISH", "SPUBLISH", "SUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE"}:
            continue
        place = Place.at("h", 6379, None, "0")
        ours = {}
        for access in accesses_of([words(line)], place):
            if len(access.resource.key) > 4 and access.resource.key[3] == "0":
                ours.setdefault(access.resource.key[4], set()).add(access.action)
        theirs = _keys(redis_server.client, line)
        assert set(theirs) == set(ours), line
        for key, actions in theirs.items():
            assert actions <= ours[key] or ours[key] == {"execute"}, (line, key)
        compared.update([spec] if theirs else [])
    assert 130 < len(compared)


def test_a_group_may_be_called_as_the_word_before_the_keys(redis_server):  # noqa: F811
    """Here the server's own list of keys is wrong about what it then does."""
    line = "XREADGROUP COUNT 1 GROUP STREAMS STREAMS STREAMS real-one >"
    client = redis_server.client
    client.execute_command("XGROUP", "CREATE", "real-one", "STREAMS", "$", "MKSTREAM")
    client.execute_command("XADD", "real-one", "*", "f", "v")

    assert "real-one" in str(client.execute_command(*words(line)))
    assert ["read:@/0/real-one", "edit:@/0/real-one"] == touched(line)


def test_a_command_with_keys_is_in_the_table_and_any_other_one_is_execute_on_the_database(commands):
    missing = []
    for name, arity, specs in commands:
        line = _sample(name, arity)
        if not spec_of(words(line)):
            assert ["execute:@/0"] == touched(line)
            if any("not_key" not in flags for flags in specs):
                missing.append(name)
    assert set(missing) <= set(MISSING.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET user:42", ["read:@/0/user:42"]),
        ("get user/42", ["read:@/0/user/42"]),
        ("SET k v", ["edit:@/0/k"]),
        ("SET k v NX GET", ["edit:@/0/k", "read:@/0/k"]),
        ("MSET a 1 b 2", ["edit:@/0/a", "edit:@/0/b"]),
        ("LPUSH l v", ["write:@/0/l"]),
        ("INCR n", ["read:@/0/n", "edit:@/0/n"]),
        ("DEL a b", ["delete:@/0/a", "delete:@/0/b"]),
        ("EXPIRE k 0", ["edit:@/0/k", "delete:@/0/k"]),
        ("RENAME a b", ["read:@/0/a", "delete:@/0/a", "edit:@/0/b"]),
        ("COPY a b DB 3", ["read:@/0/a", "edit:@/0/b", "edit:@/3/b"]),
        ("MOVE a 3", ["read:@/0/a", "edit:@/0/a", "delete:@/0/a", "write:@/3/a"]),
        ("SORT l BY w_* STORE d", ["read:@/0/l", "edit:@/0/d", "read:@/0"]),
        ("SORT_RO l GET o_*", ["read:@/0/l", "read:@/0"]),
        ("XADD s * f v", ["edit:@/0/s"]),
        ("XADD s NOMKSTREAM MAXLEN 5 * f v", ["edit:@/0/s", "delete:@/0/s"]),
        ("BITOP AND d a b", ["edit:@/0/d", "read:@/0/a", "read:@/0/b"]),
        ("BLPOP a b 0", ["read:@/0/a", "delete:@/0/a", "read:@/0/b", "delete:@/0/b"]),
        ("EVAL s 1 k a", ["execute:@/0", "execute:@/0/k"]),
        ("FCALL f 0", ["execute:@/0"]),
        ("MIGRATE h 1 k 0 1", ["execute:@/0", "read:@/0/k", "delete:@/0/k", "share:@/0/k"]),
        ("REPLICAOF h 1", ["execute:@/0", "share:@"]),
        ("KEYS *", ["read:@/0"]),
        ("SCAN 0", ["read:@/0"]),
        ("FLUSHDB", ["delete:@/0"]),
        ("FLUSHALL ASYNC", ["delete:@"]),
        ("SWAPDB 0 1", ["execute:@/0"]),
        ("CONFIG SET a b", ["execute:@/0"]),
        ("CLIENT LIST", ["execute:@/0"]),
        ("MONITOR", ["execute:@/0"]),
        ("NEVER.HEARD k", ["execute:@/0"]),
        ("OBJECT|ENCODING x k", ["execute:@/0"]),
        ("PING", ["read:@"]),
        ("SELECT 0", ["read:@"]),
        ("SUBSCRIBE news a/b", ["read:@/channels/news", "read:@/channels/a/b"]),
        ("PSUBSCRIBE n*", ["read:@/channels"]),
        ("PUBLISH news hello", ["write:@/channels/news"]),
        ("UNWATCH", []),
        ("EXEC", ["execute:@/0"]),
    ],
)
def test_a_command_touches(line, expected):
    assert expected == touched(line)


@pytest.mark.parametrize(
    "line",
    [
        "GET",
        "GET ''",
        "GET a//b",
        "GET a/../b",
        "GET /a",
        "GET a*",
        "EVAL s",
        "EVAL s x k",
        "EVAL s 2 k",
        "EVAL s -1 k",
        "LMPOP 0 LEFT",
        "XREAD STREAMS",
        "XREAD STREAMS a b 0",
        "XREAD COUNT 1",
        "SELECT 1",
        "SELECT 00",
        "MOVE k",
        "MOVE k x",
        "COPY a b DB x",
        "MIGRATE h 1",
        "EVAL s 9999999999 k",
        f"EVAL s {'9' * 5000} k",
        "SUBSCRIBE",
        "MIGRATE h 1 '' 0 1 KEYS",
    ],
)
def test_what_cannot_be_named_or_understood_is_refused(line):
    with pytest.raises(ConfigurationError):
        touched(line)


@pytest.mark.parametrize(
    "key", [b"\xff", "e\u0301".encode(), b"a\x00b", b"x" * 5000], ids=["bytes", "nfd", "nul", "long"]
)
def test_a_key_that_no_resource_has_is_refused(key):
    with pytest.raises(ConfigurationError):
        accesses_of([(b"GET", key)], PLACE)


def test_the_queue_of_a_transaction_counts_where_it_is_sent_as_one():
    commands = [(b"MULTI",), (b"SET", b"k", b"v"), (b"EXEC",)]

    assert ["edit:redis://h:6379/0/k"] == list(map(str, accesses_of(commands, PLACE)))


def test_another_database_may_not_be_selected_nor_the_connection_be_reset_to_one():
    other = Place.at("h", 6379, None, 5)

    for line in ("SELECT 0", "RESET"):
        with pytest.raises(ConfigurationError):
            touched(line, other)
    assert ["read:@"] == touched("SELECT 5", other)
    assert (True, False) == (is_set_up(words("SELECT 5"), other), is_set_up(words("SELECT 0"), other))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("HELLO 3", True),
        ("AUTH u p", True),
        ("CLIENT SETNAME n", True),
        ("client tracking ON", True),
        ("CLIENT TRACKING ON BCAST", False),
        ("PING", True),
        ("UNWATCH", True),
        ("CLIENT LIST", False),
        ("CLIENT", False),
        ("GET k", False),
        ("NEVER.HEARD", False),
    ],
)
def test_what_makes_a_connection_ready(line, expected):
    assert expected is is_set_up(words(line), PLACE)


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (["get k"], "GET"),
        (["OBJECT freq k"], "OBJECT FREQ"),
        (["secret-token"], "OTHER"),
        (["GET a", "GET b"], "PIPELINE"),
        (["MULTI", "GET a", "EXEC"], "MULTI"),
    ],
)
def test_a_name_is_of_low_cardinality(lines, name):
    assert name == name_of([words(line) for line in lines])


def test_names_of_places():
    unix = Place.at(None, None, "/run/redis.sock", "3")

    assert "redis:///run/redis.sock/3/user/42" == str(unix.key(b"user/42"))
    assert "redis://[::1]:6379/0/k" == str(Place.at("::1", "6379", None, None).key("k"))
    assert "redis://h:6379/channels/news" == str(PLACE.channel("news"))
    assert PLACE.is_same_server(Place.at("h", 6379, None, 9))
    assert not PLACE.is_same_server(unix)


@pytest.mark.parametrize(
    "made_with", [(None, 1, None, 0), ("h", "x", None, 0), ("h", 1, None, "x"), (object(), 1, None, 0)]
)
def test_a_connection_that_does_not_say_where_it_leads_has_no_place(made_with):
    with pytest.raises(ConfigurationError):
        Place.at(*made_with)


def test_what_is_sent_is_read_back():
    def encode(value):
        return value if isinstance(value, bytes) else str(value).encode()

    data = packed(command_of(["CONFIG GET", "a\r\n$1", 1, b"\xff"], encode))

    assert [(b"CONFIG", b"GET", b"a\r\n$1", b"1", b"\xff")] == unpacked(data)
    assert data == joined([data[:5], memoryview(data)[5:]]) == joined(bytearray(data))
    assert b"a" == joined("a")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET k\r\n",
        b"*1\r\n",
        b"*1\r\n$4\r\nPING",
        b"*1\r\n$4\r\nPINGxx",
        b"*0\r\n",
        b"*-1\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$4\r\nPING\r\nGET k\r\n",
        b"*1\n$4\nPING\n",
        b"*99999999999999\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n$+4\r\nPING\r\n",
    ],
)
def test_anything_but_whole_commands_is_not_understood(data):
    with pytest.raises(ConfigurationError):
        unpacked(data)

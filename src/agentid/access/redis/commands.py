"""
What a command of Redis touches: the actions and the places of its keys, and of what is no key.

The actions of a key are those that the server itself says of it (`COMMAND`, key specifications): *access* is `read`,
*insert* is `write`, *update* is `edit`, *delete* is `delete`, and what only looks is `read`. Some need more here:
what a time to live will remove is a `delete`, a consumer group is changed by reading from it.

- A script may touch anything: `execute` on the database, and on the keys that it declares.
- What is not in the table may do anything, too: `execute` on the database.
- `KEYS`, `SCAN` and a `SORT` by pattern look at the database as a whole, `FLUSHALL` is a `delete` of the server as one.
- `SELECT` of another database is refused: a connection is shared, and what follows would be called by a wrong name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple, cast

from agentid.access.redis.place import Place
from agentid.errors import ConfigurationError
from agentid.permission import Action
from agentid.record import Access
from agentid.resource import Resource

__all__ = ["Command", "accesses_of", "is_set_up", "name_of", "spec_of"]

Command = Sequence[bytes]
"""A command and its arguments, as they go over the wire."""

_ACTIONS: Final[dict[str, Action]] = {
    "r": "read",
    "w": "write",
    "e": "edit",
    "d": "delete",
    "s": "share",
    "x": "execute",
}

_TABLE: Final = (
    # Letters of actions, then where: a slice of the arguments with keys in it; `#n`, as many keys as argument n says;
    # `streams`, `store` and `keys`, which follow that word; `channels`; `db` and `server` as a whole.
    ("r 1", "BITCOUNT BITFIELD_RO BITPOS DUMP EXPIRETIME GEODIST GEOHASH GEOPOS GEORADIUSBYMEMBER_RO GEORADIUS_RO"),
    (
        "r 1",
        "GEOSEARCH GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS HLEN HMGET HRANDFIELD HSCAN HSTRLEN HVALS LINDEX",
    ),
    (
        "r 1",
        "LLEN LPOS LRANGE PEXPIRETIME PTTL SCARD SISMEMBER SMEMBERS SMISMEMBER SRANDMEMBER SSCAN STRLEN SUBSTR TTL",
    ),
    ("r 1", "TYPE XLEN XPENDING XRANGE XREVRANGE ZCARD ZCOUNT ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX"),
    ("r 1", "ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE"),
    ("r 1:", "EXISTS MGET PFCOUNT SDIFF SINTER SUNION TOUCH WATCH"),
    ("r 1:3", "LCS"),
    ("r #1", "SINTERCARD ZDIFF ZINTER ZINTERCARD ZUNION"),
    ("r 2", "MEMORY|USAGE OBJECT|ENCODING OBJECT|FREQ OBJECT|IDLETIME OBJECT|REFCOUNT"),
    ("r 2", "XINFO|CONSUMERS XINFO|GROUPS XINFO|STREAM"),
    ("r streams", "XREAD"),
    ("re streams", "XREADGROUP"),
    ("w 1", "APPEND HSETNX LINSERT LPUSH LPUSHX PFADD RPUSH RPUSHX SADD SETNX"),
    ("w 1::2", "MSETNX"),
    ("w 2", "XGROUP|CREATE XGROUP|CREATECONSUMER"),
    ("e 1", "GEOADD HMSET HSET LSET PERSIST PSETEX RESTORE RESTORE-ASKING SET SETEX SETRANGE XACK XADD XSETID ZADD"),
    ("e 1::2", "MSET"),
    ("e 2", "XGROUP|SETID"),
    ("re 1", "BITFIELD DECR DECRBY GETSET HINCRBY HINCRBYFLOAT INCR INCRBY INCRBYFLOAT SETBIT XCLAIM ZINCRBY"),
    ("ed 1", "EXPIRE EXPIREAT PEXPIRE PEXPIREAT"),
    ("red 1", "GETEX MOVE XAUTOCLAIM"),
    ("d 1", "HDEL LREM LTRIM SREM XDEL XTRIM ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE"),
    ("d 1:", "DEL UNLINK"),
    ("d 2", "XGROUP|DELCONSUMER XGROUP|DESTROY"),
    ("rd 1", "GETDEL LPOP RPOP SPOP ZPOPMAX ZPOPMIN"),
    ("rd 1:-1", "BLPOP BRPOP BZPOPMAX BZPOPMIN"),
    ("rd #1", "LMPOP ZMPOP"),
    ("rd #2", "BLMPOP BZMPOP"),
    ("rd 1, w 2", "BLMOVE BRPOPLPUSH LMOVE RENAMENX RPOPLPUSH SMOVE"),
    ("rd 1, e 2", "RENAME"),
    ("r 1, e 2", "COPY"),
    ("r 1, e store", "GEORADIUS GEORADIUSBYMEMBER SORT"),
    ("r 1", "SORT_RO"),
    ("rw 1, r 2:", "PFMERGE"),
    ("e 1, r 2", "GEOSEARCHSTORE ZRANGESTORE"),
    ("e 1, r 2:", "SDIFFSTORE SINTERSTORE SUNIONSTORE"),
    ("e 1, r #2", "ZDIFFSTORE ZINTERSTORE ZUNIONSTORE"),
    ("e 2, r 3:", "BITOP"),
    ("x db, x #2", "EVAL EVALSHA EVALSHA_RO EVAL_RO FCALL FCALL_RO"),
    ("x db, rds 3, rds keys", "MIGRATE"),
    ("x db, s server", "REPLICAOF SLAVEOF"),
    ("r db", "DBSIZE KEYS RANDOMKEY SCAN"),
    ("d db", "FLUSHDB"),
    ("d server", "FLUSHALL"),
    ("r server", "CLUSTER|INFO CLUSTER|KEYSLOT CLUSTER|MYID CLUSTER|NODES CLUSTER|SHARDS CLUSTER|SLOTS COMMAND"),
    ("r server", "COMMAND|COUNT COMMAND|DOCS COMMAND|INFO COMMAND|LIST ECHO INFO LASTSAVE PING RESET ROLE SELECT"),
    ("r server", "SENTINEL|GET-MASTER-ADDR-BY-NAME SENTINEL|MASTER SENTINEL|MASTERS SENTINEL|REPLICAS SENTINEL|SLAVES"),
    ("r server", "TIME WAIT"),
    ("r channel 1:", "SSUBSCRIBE SUBSCRIBE"),
    ("w channel 1", "PUBLISH SPUBLISH"),
    ("r channels", "PSUBSCRIBE PUBSUB|CHANNELS PUBSUB|NUMPAT PUBSUB|NUMSUB PUBSUB|SHARDCHANNELS PUBSUB|SHARDNUMSUB"),
    # Nothing is touched: they take back, or say where a connection stands.
    ("", "ASKING DISCARD MULTI PUNSUBSCRIBE QUIT READONLY READWRITE SUNSUBSCRIBE UNSUBSCRIBE UNWATCH"),
    # Known by name, so that they are recorded under it.
    ("x db", "ACL AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER CONFIG DEBUG EXEC FAILOVER FUNCTION HELLO LATENCY MEMORY"),
    ("x db", "MODULE MONITOR OBJECT PSYNC PUBSUB SAVE SCRIPT SENTINEL SHUTDOWN SLOWLOG SWAPDB SYNC XGROUP XINFO"),
)

_SET_UP: Final = frozenset(
    {"AUTH", "CLIENT|MAINT_NOTIFICATIONS", "CLIENT|SETINFO", "CLIENT|SETNAME"} | {"HELLO", "PING", "SELECT"}
)
_DIGITS: Final = 9  # of a number of keys; more are refused by the server, too


class _Spec(NamedTuple):
    actions: tuple[Action, ...]
    place: str
    keys: slice | None = None
    number: int = 0


@cache
def _specs() -> dict[str, tuple[_Spec, ...]]:
    found: dict[str, tuple[_Spec, ...]] = {}
    for text, names in _TABLE:
        specs = tuple(_spec(*part.split()) for part in text.split(", ") if part)
        found.update(dict.fromkeys(names.split(), specs))
    return found


def _spec(letters: str, place: str, positions: str = "") -> _Spec:
    actions: tuple[Action, ...] = tuple(_ACTIONS[letter] for letter in letters)
    if place[0] == "#":
        return _Spec(actions, "counted", number=int(place[1:]))
    if place[0].isdigit():
        return _Spec(actions, "key", _slice(place))
    return _Spec(actions, place, _slice(positions) if positions else None)


def _slice(text: str) -> slice:
    if ":" not in text:
        return slice(int(text), int(text) + 1)
    return slice(*(int(part) if part else None for part in text.split(":")))


def spec_of(command: Command) -> str:
    """Give the name under which *command* stands in the table; empty if it does not."""
    name = _text(command[0])
    if len(command) > 1 and f"{name}|{_text(command[1])}" in _specs():
        return f"{name}|{_text(command[1])}"
    return name if name in _specs() and "|" not in name else ""


def name_of(commands: Sequence[Command]) -> str:
    """Give a name of low cardinality: the command's, where it is a known one."""
    if len(commands) != 1:
        return "MULTI" if commands and spec_of(commands[0]) == "MULTI" else "PIPELINE"
    return spec_of(commands[0]).replace("|", " ") or "OTHER"


def is_set_up(command: Command, place: Place) -> bool:
    """Whether a client sends *command* by itself to make a connection ready, and it leads nowhere else."""
    spec = spec_of(command)
    if spec == "SELECT":
        return [*command[1:]] == [place.db.encode()]
    if spec == "CLIENT" and len(command) > 1:
        if _text(command[1]) == "TRACKING":
            return _upper(command[2:]) == [b"ON"]  # of what this client reads, and not of what anybody changes
        spec = f"CLIENT|{_text(command[1])}"
    return spec in _SET_UP or _specs().get(spec) == ()


def accesses_of(commands: Iterable[Command], place: Place) -> tuple[Access, ...]:
    """
    Say what *commands* do, sent one after the other on a connection to *place*; nothing, if they touch nothing.

    Raises:
        ConfigurationError: A key has a name that no resource can have, or it cannot be said what is touched.
    """
    found: dict[Access, None] = {}
    queues = False
    for command in commands:
        spec = spec_of(command)
        if spec == "MULTI":
            queues = True
        if spec == "EXEC" and queues:
            continue  # what it runs stands before it, and was looked at
        try:
            found.update(dict.fromkeys(_one(command, spec, place)))
        except IndexError:
            raise _odd("a command has too few arguments") from None
    return tuple(found)


def _one(command: Command, name: str, place: Place) -> Iterator[Access]:
    if not name:
        yield Access("execute", place.database())
        return
    if name in {"SELECT", "RESET"}:
        _check_database(command, name, place)
    for spec in _specs()[name]:
        for resource in _resources(spec, command, name, place):
            for action in spec.actions:
                yield Access(action, resource)
    yield from _more(command, name, place)


def _resources(spec: _Spec, command: Command, name: str, place: Place) -> Iterator[Resource]:
    if spec.place == "db":
        yield place.database()
    elif spec.place == "server":
        yield place.server()
    elif spec.place == "channels":
        yield place.channels()
    elif spec.place == "channel":
        yield from map(place.channel, _some(command[cast("slice", spec.keys)]))
    else:
        yield from map(place.key, _keys(spec, command, name))


def _keys(spec: _Spec, command: Command, name: str) -> Sequence[bytes]:
    if spec.place == "counted":
        return _counted(command, spec.number)
    if spec.place == "streams":
        return _streams(command)
    if spec.place == "store":
        return _stores(command, name)
    if spec.place == "keys":
        return _migrated(command)
    keys = command[cast("slice", spec.keys)]
    if name == "MIGRATE":
        return [key for key in _some(keys) if key]  # an empty one says that they follow
    # What follows the first ones may be none: `PFMERGE` of nothing.
    return keys if spec is not _specs()[name][0] else _some(keys)


def _some(keys: Sequence[bytes]) -> Sequence[bytes]:
    if not keys:
        raise _odd("a command names no key")
    return keys


def _counted(command: Command, at: int) -> Sequence[bytes]:
    # Only digits: whatever else a number may look like to us, or to the server, is not guessed.
    text = command[at] if at < len(command) else b""
    if not text.isdigit() or len(text) > _DIGITS:
        raise _odd("a command does not say how many keys it has")
    number = int(text)
    keys = command[at + 1 : at + 1 + number]
    if len(keys) != number or (not number and not command[0].upper().startswith((b"EVAL", b"FCALL"))):
        raise _odd("a command has fewer keys than it says")
    return keys


def _streams(command: Command) -> Sequence[bytes]:
    at = 1
    while at < len(command) and command[at].upper() != b"STREAMS":
        # Some words take values, which may not be mistaken for the word: a group may be called `STREAMS`.
        at += {b"COUNT": 2, b"BLOCK": 2, b"GROUP": 3}.get(command[at].upper(), 1)
    rest = command[at + 1 :]
    if not rest or len(rest) % 2:
        raise _odd("a command has no streams, or not an ID for each")
    return rest[: len(rest) // 2]


def _stores(command: Command, name: str) -> Sequence[bytes]:
    if name != "SORT":
        start = 5 if name == "GEORADIUSBYMEMBER" else 6
        words = {b"STORE", b"STOREDIST"}
        return [command[at + 1] for at in _words(command, start, words)]
    found: list[bytes] = []
    at = 2
    while at < len(command):
        word = command[at].upper()
        if word == b"STORE" and at + 1 < len(command):
            found = [command[at + 1]]  # the last one counts
        at += {b"STORE": 2, b"BY": 2, b"GET": 2, b"LIMIT": 3}.get(word, 1)
    return found


def _words(command: Command, start: int, words: set[bytes]) -> list[int]:
    # One too many, where a value looks like the word, is one that must be allowed as well.
    return [at for at in range(start, len(command) - 1) if command[at].upper() in words]


def _migrated(command: Command) -> Sequence[bytes]:
    at = 6
    while at < len(command):
        word = command[at].upper()
        if word == b"KEYS":
            return _some(command[at + 1 :])
        at += {b"AUTH": 2, b"AUTH2": 3}.get(word, 1)
    return ()


def _more(command: Command, name: str, place: Place) -> Iterator[Access]:
    """Say what an option of a command does."""
    if name == "SET" and b"GET" in _upper(command[3:]):
        yield Access("read", place.key(command[1]))
    elif name == "XADD" and not {b"MAXLEN", b"MINID"}.isdisjoint(_upper(command[2:4])):
        yield Access("delete", place.key(command[1]))
    elif name in {"SORT", "SORT_RO"} and not {b"BY", b"GET"}.isdisjoint(_upper(command[2:])):
        yield Access("read", place.database())
    elif name == "MOVE":
        yield Access("write", place.in_database(_text(command[2])).key(command[1]))
    elif name == "COPY":
        for at in _words(command, 3, {b"DB"}):
            yield Access("edit", place.in_database(_text(command[at + 1])).key(command[2]))


def _check_database(command: Command, name: str, place: Place) -> None:
    wanted = _text(command[1]) if name == "SELECT" and len(command) > 1 else "0"
    if wanted != place.db:
        raise _odd("another database is selected on a connection: make a client with `db=` for it")


def _upper(arguments: Sequence[bytes]) -> list[bytes]:
    return [argument.upper() for argument in arguments]


def _text(argument: bytes) -> str:
    return argument.decode("ascii", "backslashreplace").upper()


def _odd(why: str) -> ConfigurationError:
    return ConfigurationError("a command of Redis is not understood", why=why)

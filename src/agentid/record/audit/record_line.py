"""
One record as one line of canonical JSON, in the shape of a CloudEvent.

The shape is written out below, keys in their order, because each call of an agent waits for it. A test holds it
against the general printer in `canonical`. What is left out on purpose: arguments and results, always; the task of
the session, which is a person's words.

A line is at most 65 535 bytes, so that it fits into a tile of a transparency log. A call that touches too many
resources for one line is written as several, each with its `part`; text that is absurdly long is cut, visibly.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final

from agentid.record.access_record import Access, AccessRecord, Holder, Phase
from agentid.record.audit.canonical import MAX_INTEGER, quote_text, well_formed
from agentid.record.audit.chain_files import ACCESS_TYPE
from agentid.record.audit.merkle import EMPTY_ROOT

__all__ = ["FIRST_PREV", "LINK", "MAX_LINE", "HalfLine", "encode_record", "join_line", "parse_timestamp", "timestamp"]

MAX_LINE: Final = 65_535
MAX_TEXT: Final = 2_000
MAX_RESOURCE: Final = 20_000
MAX_LABEL: Final = 200
MAX_LABELS: Final = 50

FIRST_PREV: Final = EMPTY_ROOT.hex()
"""What the first record of a chain names as the one before it: the hash of nothing."""

LINK: Final = re.compile(rb'"chain":\{"prev":"sha256:([0-9a-f]{64})","seq":(0|[1-9][0-9]{0,15})\}')
"""
How a line names the one before it. No text in a record can look like it: quotes inside text are escaped, and no key
comes from outside.
"""

_FIXED: Final = 160
"""More than what `join_line` and the number of a part add to a half line."""

HalfLine = tuple[bytes, bytes]
"""What stands before and after the link to the line before."""


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339, in UTC, to the millisecond."""
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03d}Z"


@lru_cache(maxsize=4)
def _second(whole: int) -> str:
    # Most records are of the same second as the one before.
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def parse_timestamp(text: str) -> datetime:
    """
    Read what `timestamp` wrote.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(text, str) or not text.endswith("Z"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("it is no time in UTC")
    return datetime.fromisoformat(f"{text[:-1]}+00:00")


def encode_record(origin: str, phase: Phase, record: AccessRecord, now: float) -> list[HalfLine]:
    """
    Everything of a record's lines except their place in the chain, which is known only once it is their turn.

    Args:
        origin: Names the chain.
        phase: `decision` before the act, `outcome` after.
        record: What happened.
        now: Seconds since 1970.
    """
    half = _encode(origin, phase, record, now, accesses=_accesses(record.accesses))
    if len(half[0]) + len(half[1]) <= MAX_LINE - _FIXED:
        return [half]
    return _encode_in_parts(origin, phase, record, now)


def join_line(half: HalfLine, prev: str, seq: int) -> bytes:
    """Put a line into its place, without a line break."""
    return b'%b"chain":{"prev":"sha256:%b","seq":%d},%b' % (half[0], prev.encode(), seq, half[1])


def _encode(origin: str, phase: Phase, record: AccessRecord, now: float, *, accesses: str, part: str = "") -> HalfLine:
    text = quote_text
    duration = record.duration_ns
    head = (
        f'{{"data":{{"accesses":[{accesses}],'
        f'"agent":{{"credential":{text(record.credential_id)},"id":{text(record.agent_id)},'
        f'"name":{text(record.agent_name)},"owner":{text(record.owner)}}},'
        f'"call":{{"began":"{timestamp(record.time_ns / 1e9)}","id":{text(record.id)},'
        f'"session":{text(record.session)},"tool":{text(record.tool)}}},'
    )
    tail = (
        f'"decision":{{"approval":{text(record.approval)},"effect":{text(record.effect)},'
        f'"enforcement":{text(record.enforcement)},"permission":{text(record.permission)},'
        f'"reason":{text(record.reason)}}},{_delegation(record.delegation)}'
        f'"labels":[{",".join(map(text, record.labels))}],'
        f'"outcome":{{"duration_ns":{"null" if duration is None else _whole(duration)},'
        f'"error_type":{text(record.error_type)},{_seen(record)}"status":{text(record.status)}}},{part}'
        f'"phase":{text(phase)},'
        f'"trace":{{"id":{text(record.trace_id)},"span":{text(record.span_id)}}}}},'
        f'"id":{text(f"{record.id}:{phase}")},"source":"{origin}","specversion":"1.0",'
        f'"time":"{timestamp(now)}","type":"{ACCESS_TYPE}"}}'
    )
    try:
        return head.encode(), tail.encode()
    except UnicodeEncodeError:
        # Odd text must not stop a record, least of all that of a denial.
        return well_formed(head).encode(), well_formed(tail).encode()


def _accesses(accesses: tuple[Access, ...]) -> str:
    return ",".join(
        f'{{"action":{quote_text(access.action)},"resource":{quote_text(str(access.resource))}}}' for access in accesses
    )


def _seen(record: AccessRecord) -> str:
    """How many records and bytes went in or came out; nothing where that is not known."""
    known = (("rows", record.rows), ("size", record.size))
    return "".join(f'"{name}":{_whole(number)},' for name, number in known if number is not None)


def _whole(number: int) -> int:
    return min(max(number, 0), MAX_INTEGER)


def _delegation(holders: tuple[Holder, ...]) -> str:
    """The chain of a sub-agent, the root's link first; nothing where nobody handed anything on."""
    if not holders:
        return ""
    links = ",".join(
        f'{{"agent":{quote_text(holder.agent_id)},"depth":{depth},"grant":{quote_text(holder.grant_id)},'
        f'"key":{quote_text(holder.key_id)}}}'
        for depth, holder in enumerate(holders)
    )
    return f'"delegation":[{links}],'


# --- records that are too long for one line ----------------------------------------------------------------------


def _encode_in_parts(origin: str, phase: Phase, record: AccessRecord, now: float) -> list[HalfLine]:
    short = _shortened(record)
    fixed = _encode(origin, phase, short, now, accesses="")
    groups = list(_groups(record.accesses, MAX_LINE - _FIXED - len(fixed[0]) - len(fixed[1])))
    return [
        _encode(origin, phase, short, now, accesses=group, part=f'"part":{{"number":{number},"of":{len(groups)}}},')
        for number, group in enumerate(groups, 1)
    ]


def _groups(accesses: tuple[Access, ...], room: int) -> Iterator[str]:
    group: list[str] = []
    used = 0
    for access in accesses:
        resource = _cut(str(access.resource), MAX_RESOURCE)
        text = f'{{"action":{quote_text(access.action)},"resource":{quote_text(resource)}}}'
        size = len(text.encode("utf-8", "replace")) + 1
        if group and used + size > room:
            yield ",".join(group)
            group, used = [], 0
        group.append(text)
        used += size
    yield ",".join(group)


def _shortened(record: AccessRecord) -> AccessRecord:
    labels = tuple(_cut(label, MAX_LABEL) for label in record.labels[:MAX_LABELS])
    if len(record.labels) > len(labels):
        labels = (*labels, f"…and {len(record.labels) - len(labels)} more")
    return AccessRecord(
        id=_cut(record.id),
        session=_cut(record.session),
        time_ns=record.time_ns,
        agent_id=_cut(record.agent_id),
        agent_name=_cut(record.agent_name),
        tool=_cut(record.tool),
        owner=_cut(record.owner),
        credential_id=_cut(record.credential_id),
        delegation=tuple(Holder(*map(_cut, holder)) for holder in record.delegation),
        effect=record.effect,
        reason=_cut(record.reason),
        permission=_cut(record.permission),
        enforcement=record.enforcement,
        approval=_cut(record.approval),
        status=record.status,
        error_type=_cut(record.error_type),
        duration_ns=record.duration_ns,
        trace_id=_cut(record.trace_id),
        span_id=_cut(record.span_id),
        labels=labels,
        rows=record.rows,
        size=record.size,
    )


def _cut(text: str, limit: int = MAX_TEXT) -> str:
    """Keep *text* if it takes no more than *limit* bytes in a line, else its beginning and what is known of it."""
    if len(text) * 6 <= limit or len(well_formed(quote_text(text)).encode()) <= limit:
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[: limit // 6]}…[{len(text)} characters, sha256:{digest}]"

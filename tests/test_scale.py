"""What must not grow and what must not mix, however many calls, threads and sessions there are."""

from __future__ import annotations

import asyncio
import gc
import resource
import threading

import pytest

from agentid import Authority, Guard, propagate, requires
from agentid.errors import AccessDeniedError
from agentid.guard import current_session
from agentid.testing import MemoryAudit


@requires("read:crm/{name}")
def who(name: str) -> str:
    """Say who is acting."""
    return current_session().agent.name


@requires("read:crm/{name}")
async def who_later(name: str) -> str:
    await asyncio.sleep(0)
    return current_session().agent.name


def peak_kib() -> int:
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_million_calls_leave_no_trace_in_memory():
    """Neither the same call again and again nor names that were never seen make the process grow."""
    authority = Authority.create("test.example")
    with Guard(authority.trust).acting_as(authority.issue("bot", allow=["read:crm/*"])):
        names = [f"n-{number}" for number in range(20_000)]
        for name in names:
            who(name)
        before = peak_kib()
        for _ in range(500):
            for name in names:
                who(name) if name is names[0] else who("c-42")

        assert peak_kib() - before < 8 * 1024


def test_eight_threads_lose_no_record_and_never_act_as_each_other():
    """Each thread has an agent of its own, and one guard, audit log and observer are shared by all."""
    authority = Authority.create("test.example")
    records, audit, wrong = [], MemoryAudit(), []
    guard = Guard(authority.trust, observers=[records.append], audit=audit)
    start = threading.Barrier(8)

    def work(number: int) -> None:
        agent = authority.issue(f"bot-{number}", allow=[f"read:crm/{number}"])
        start.wait()
        with guard.acting_as(agent):
            for _ in range(200):
                if who(str(number)) != f"bot-{number}":
                    wrong.append(number)
                try:
                    who(str((number + 1) % 8))
                    wrong.append(number)
                except AccessDeniedError:
                    pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == wrong
    assert 8 * 200 * 2 == len(records) == len({record.id for record in records})
    assert all(record.resource == f"crm/{record.agent_name[4:]}" for record in records if record.effect == "allow")
    assert 8 * 200 * 3 == len(audit.lines)


def test_a_thousand_sessions_at_once_never_see_each_other():
    """In one event loop, with awaits and threads in between."""
    authority = Authority.create("test.example")
    guard = Guard(authority.trust)

    async def work(number: int) -> bool:
        name = f"bot-{number}"
        agent = authority.issue(name, allow=[f"read:crm/{number}"])
        async with guard.acting_as(agent):
            seen = [who(str(number)), await who_later(str(number))]
            seen.append(await asyncio.to_thread(who, str(number)))
            loop = asyncio.get_running_loop()
            seen.append(await loop.run_in_executor(None, propagate(who), str(number)))
            try:
                await who_later(str(number + 1))
                seen.append("ran")
            except AccessDeniedError:
                pass
        return {name} == set(seen) and current_session() is None

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(work(number) for number in range(1_000)))

    assert [True] * 1_000 == asyncio.run(all_of_them())

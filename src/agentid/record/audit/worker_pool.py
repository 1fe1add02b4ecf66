"""
Checks chunks in several processes, in order, with a few of them on their way at any time.

The workers are plain child processes that read a chunk and write a result, a line of JSON each. Nothing of the
calling program is run again in them, unlike in those of `multiprocessing`, so that a script needs no guard for it.
What a worker cannot do, because it could not be started or has died, is done here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import IO, Any, Final, TypeVar, cast

from agentid import names
from agentid.record.audit.chunk_check import Chunk, ChunkResult, check_chunk
from agentid.signing import KeySet, PublicKey

__all__ = ["check_all", "usable_processors", "work"]

T = TypeVar("T")
Outcome = ChunkResult | OSError

_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.readline()); "
    "from agentid.record.audit.worker_pool import work; work(sys.stdin, sys.stdout)"
)


def usable_processors() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def check_all(
    items: Iterable[tuple[T, Chunk | None]], keys: Sequence[PublicKey], workers: int
) -> Iterator[tuple[T, Chunk | None, Outcome | None]]:
    """
    Check chunks and give the results in order. An item without a chunk passes through.

    Args:
        items: Each chunk with whatever belongs to it. Not more of them are taken than can be worked on.
        keys: Whose signatures count.
        workers: How many processes; 1 is this one.
    """
    if workers <= 1:
        for mark, chunk in items:
            yield mark, chunk, None if chunk is None else _checked(chunk, keys)
        return
    with _started(workers, keys) as pool, ThreadPoolExecutor(workers) as threads:
        under_way: deque[tuple[T, Chunk | None, Future[Outcome] | None]] = deque()
        for mark, chunk in items:
            under_way.append((mark, chunk, None if chunk is None else threads.submit(_delegate, pool, chunk, keys)))
            while under_way and (len(under_way) > 2 * workers or under_way[0][2] is None):
                done, that, future = under_way.popleft()
                yield done, that, None if future is None else future.result()
        for done, that, future in under_way:
            yield done, that, None if future is None else future.result()


def work(requests: IO[str], answers: IO[str]) -> None:
    """Answer chunks until there are no more. What a worker process runs."""
    keys = tuple(KeySet.from_jwks({"keys": json.loads(requests.readline())}))
    for line in requests:
        chunk = Chunk(*json.loads(line))
        after = (chunk.after[0], chunk.after[1]) if chunk.after else None
        result = _checked(chunk._replace(after=after, notes=[(size, note) for size, note in chunk.notes]), keys)
        answers.write(json.dumps(None if isinstance(result, OSError) else result) + "\n")
        answers.flush()


def _checked(chunk: Chunk, keys: Sequence[PublicKey]) -> Outcome:
    try:
        return check_chunk(chunk, keys)
    except OSError as failure:
        return failure


def _delegate(pool: SimpleQueue[subprocess.Popen[str]], chunk: Chunk, keys: Sequence[PublicKey]) -> Outcome:
    worker = pool.get()
    try:
        answer = _ask(worker, chunk)
    finally:
        pool.put(worker)
    return _checked(chunk, keys) if answer is None else answer


def _ask(worker: subprocess.Popen[str], chunk: Chunk) -> ChunkResult | None:
    """Let a worker check a chunk; None if it cannot."""
    # Both are pipes: `_started` asks for them.
    stdin, stdout = cast("IO[str]", worker.stdin), cast("IO[str]", worker.stdout)
    try:
        stdin.write(json.dumps(chunk) + "\n")
        stdin.flush()
        answer: Any = json.loads(stdout.readline())
    except (OSError, ValueError):
        return None
    if answer is None:
        return None
    lines, first, reached, blocks, problem, bad, torn = answer
    return ChunkResult(
        lines,
        first,
        reached,
        [[(level, node) for level, node in run] for run in blocks],
        None if problem is None else (problem[0], problem[1], problem[2], problem[3]),
        [(index, why) for index, why in bad],
        torn,
    )


@contextmanager
def _started(workers: int, keys: Sequence[PublicKey]) -> Generator[SimpleQueue[subprocess.Popen[str]], None, None]:
    jwks = [{**key.jwk, "kid": key.kid, "use": names.AUDIT_USE} for key in keys]
    pool: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
    started: list[subprocess.Popen[str]] = []
    try:
        for _ in range(workers):
            worker = subprocess.Popen(  # noqa: S603 -- this interpreter, a constant program
                [sys.executable, "-I", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
            started.append(worker)
            if worker.stdin is not None:
                with suppress(OSError):
                    worker.stdin.write(f"{json.dumps(sys.path)}\n{json.dumps(jwks)}\n")
                    worker.stdin.flush()
            pool.put(worker)
        yield pool
    finally:
        for worker in started:
            worker.kill()
        for worker in started:
            with suppress(OSError, ValueError):
                worker.communicate()

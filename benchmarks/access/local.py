"""What does not leave the process, or starts another one: files, programs, threads."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agentid.access.threads import THREADS
from benchmarks.access.clients import opens
from benchmarks.access.servers import folder, forks, nowhere
from benchmarks.access.wrapper import Wrapper

__all__ = ["WRAPPERS"]

_FILES = ("files.standard_library",)
_PROGRAM = ("/bin/true",)


def _in(place: str) -> tuple[str, ...]:
    return tuple(f"{action}:file://{place}/**" for action in ("read", "write", "edit", "delete"))


def _programs(_: Any) -> tuple[str, ...]:
    return ("execute:file:///**",)


def _by_open(_: ExitStack, place: str) -> Any:
    path = f"{place}/data"

    def call() -> None:
        with open(path, "rb") as file:
            file.read()

    return call


def _by_os(_: ExitStack, place: str) -> Any:
    path = f"{place}/data"

    def call() -> None:
        descriptor = os.open(path, os.O_RDONLY)
        os.read(descriptor, 2048)
        os.close(descriptor)

    return call


def _by_pathlib(_: ExitStack, place: str) -> Any:
    path = Path(place) / "new"
    return lambda: path.write_bytes(b"x" * 1024)


def _by_shutil(_: ExitStack, place: str) -> Any:
    return lambda: shutil.copyfile(f"{place}/data", f"{place}/copy")


def _listing(_: ExitStack, place: str) -> Any:
    return lambda: os.listdir(place)


def _by_fsspec(_: ExitStack, place: str) -> Any:
    import fsspec

    files, path = fsspec.filesystem("file"), f"{place}/data"
    return lambda: files.cat_file(path)


def _by_subprocess(_: ExitStack, __: str) -> Any:
    return lambda: subprocess.run(_PROGRAM, check=True)


def _by_forkserver(_: ExitStack, __: str) -> Any:
    context = multiprocessing.get_context("forkserver")

    def call() -> None:
        process = context.Process(target=int)  # what has to be imported for nothing
        process.start()
        process.join()
        if process.exitcode != 0:
            raise RuntimeError("the process of the server failed")
        process.close()

    return call


def _threads(_: ExitStack, __: str) -> Any:
    def call() -> None:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

    return call


def _tasks(stack: ExitStack, __: str) -> Any:
    executor = stack.enter_context(ThreadPoolExecutor(1))
    return lambda: executor.submit(int).result()


def _follow(installation: Any) -> None:
    installation.wrap(*THREADS)


def _in_threads(what: str, client: Any) -> Wrapper:
    return Wrapper(
        "threads", what, (), nowhere, lambda _: (), opens(client),
        spans=0, clock=time.process_time_ns, also=_follow,
    )  # fmt: skip


WRAPPERS = (
    Wrapper("files", "open and read 1 KiB", _FILES, folder, _in, opens(_by_open)),
    Wrapper("files", "os.open and os.read 1 KiB", _FILES, folder, _in, opens(_by_os)),
    Wrapper("files", "write 1 KiB by pathlib", _FILES, folder, _in, opens(_by_pathlib)),
    Wrapper("files", "copy 1 KiB by shutil", _FILES, folder, _in, opens(_by_shutil), spans=2),
    Wrapper("files", "os.listdir", _FILES, folder, lambda place: (f"read:file://{place}",), opens(_listing)),
    Wrapper("fsspec", "cat_file of 1 KiB", ("files.fsspec_files",), folder, _in, opens(_by_fsspec), ("fsspec",)),
    Wrapper("subprocess", "run true", ("programs.starting",), nowhere, _programs, opens(_by_subprocess)),
    Wrapper(
        "multiprocessing", "a process of the server", ("programs.forkserver",), forks, _programs,
        opens(_by_forkserver), per_batch_ns=5_000_000,
    ),
    _in_threads("start and join one", _threads),
    _in_threads("a task of an executor", _tasks),
)  # fmt: skip

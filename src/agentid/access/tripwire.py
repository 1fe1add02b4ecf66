"""
The tripwire: what happens in a session although no wrapped library accounts for it, as far as Python says so.

Python announces files, sockets, processes, interpreters, native modules and `ctypes` by *audit events*, also where C
code asks for them. What is announced while an agent acts, and outside of an access that accounts for its layer, is a
second door: it is an event of the current span and a record with the reason `second_door`, and where the installation
is strict it is refused before it happens.

- Python's own imports are no doors: only what the import system itself reads to find and load a module. A native module
  is one, unless it is a part of Python.
- A record says that it was let pass, and not what came of it. Its resource is named where that can be said for sure.
- A wrapper stands for what it announces itself, and not for code of the agent that runs meanwhile.
- Not seen: what announces nothing, such as an open file or socket that is used on, a socket that listens without an
  address, a raw socket that an adapter or a hook opens in the middle of a request that was decided, a process that is
  made by `_posixsubprocess` itself, and whatever native code does by itself.

Python has no way to take such a hook away: outside of a session, or once the installation is removed, it does nothing.
"""

from __future__ import annotations

import importlib.machinery
import inspect
import os
import shutil
import socket
import sys
from collections.abc import Callable
from functools import cache
from pathlib import PurePath
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agentid.access.interpreters import ARE_ANNOUNCED
from agentid.access.places import file_resource
from agentid.guard.enforce import Enforcement
from agentid.guard.touch import Door
from agentid.permission import Action
from agentid.record import Access
from agentid.resource import Resource

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["arm", "is_start"]

Arguments = tuple[Any, ...]


class _Event(NamedTuple):
    """
    An audit event that is a door.

    Attributes:
        kind: Of which layer it is.
        accesses: What its arguments say is done, or None where it is no door after all. What raises has no name.
    """

    kind: str
    accesses: Callable[[Arguments], tuple[Access, ...] | None]


# --- files --------------------------------------------------------------------------------------------------------

_NO_FOLDER: Final = -1


def _file(path: Any, *actions: Action) -> tuple[Access, ...]:
    if not isinstance(path, str | bytes):
        return ()
    resource = file_resource(path)
    return tuple(Access(action, resource) for action in actions)


def _is_absolute(path: Any) -> bool:
    return PurePath(os.fsdecode(path)).is_absolute()


def _opened(arguments: Arguments) -> tuple[Access, ...] | None:
    path, mode, flags = arguments
    if isinstance(path, int):
        return None  # open already
    if mode is None and not _is_absolute(path):
        return ()  # of `os.open`, which may look elsewhere (`dir_fd`)
    kind = flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
    reading: list[Action] = ["read"] if kind != os.O_WRONLY else []
    writing: list[Action] = ["write"] if kind != os.O_RDONLY or flags & (os.O_CREAT | os.O_TRUNC) else []
    return _file(path, *reading, *writing)


def _on_path(*actions: Action, folders: int = 0) -> Callable[[Arguments], tuple[Access, ...]]:
    """Look at the first argument; the last *folders* ones say in which folder it is."""

    def accesses(arguments: Arguments) -> tuple[Access, ...]:
        path = "." if arguments[0] is None else arguments[0]
        if folders and any(folder != _NO_FOLDER for folder in arguments[-folders:]) and not _is_absolute(path):
            return ()
        return _file(path, *actions)

    return accesses


def _renamed(arguments: Arguments) -> tuple[Access, ...]:
    source, target = _on_path("read", "delete", folders=2), _on_path("write", folders=2)
    return source(arguments) + target((arguments[1], *arguments[-2:]))


# --- sockets ------------------------------------------------------------------------------------------------------


def _connected(arguments: Arguments) -> tuple[Access, ...] | None:
    made, address = arguments[:2]
    if address is None:
        return None  # of a socket that is connected already
    if made.family == socket.AF_UNIX:
        return _file(address, "execute")
    scheme = "udp" if made.type == socket.SOCK_DGRAM else "tcp"
    return _host(scheme, *address[:2])


def _host(scheme: str, host: Any, port: Any = None) -> tuple[Access, ...]:
    if not isinstance(host, str):
        return ()
    name = f"[{host}]" if ":" in host else host
    return (Access("execute", Resource.of(scheme, name if port is None else f"{name}:{port}")),)


def _looked_up(arguments: Arguments) -> tuple[Access, ...] | None:
    host = arguments[0]
    if not host:
        return None
    return _host("dns", host.decode("ascii", "replace") if isinstance(host, bytes) else host)


# --- processes, native code ---------------------------------------------------------------------------------------


def _program(arguments: Arguments) -> tuple[Access, ...]:
    program: Any = arguments[0]
    if program is None:  # of `subprocess.Popen`, which then takes the first word of the command
        program = arguments[1] if isinstance(arguments[1], str | bytes) else arguments[1][0]
    name = os.fsdecode(program)
    return _file(name if os.sep in name else shutil.which(name), "execute")


def _unnamed(_arguments: Arguments) -> tuple[Access, ...]:
    return ()


def _native(arguments: Arguments) -> tuple[Access, ...] | None:
    file = arguments[1]
    if not isinstance(file, str) or file.startswith(_own_modules()):
        return None
    return _file(file, "execute")


def _loaded(arguments: Arguments) -> tuple[Access, ...]:
    name = arguments[0]
    return _file(name, "execute") if isinstance(name, str) and os.sep in name else ()


@cache
def _own_modules() -> str:
    return str(PurePath(os.__file__).parent / "lib-dynload") + os.sep


_EVENTS: Final[dict[str, _Event]] = {
    "open": _Event("file", _opened),
    "os.chmod": _Event("file", _on_path("edit", folders=1)),
    "os.chown": _Event("file", _on_path("edit", folders=1)),
    "os.getxattr": _Event("file", _on_path("read")),
    "os.link": _Event("file", _on_path("read", folders=2)),
    "os.listdir": _Event("file", _on_path("read")),
    "os.listxattr": _Event("file", _on_path("read")),
    "os.mkdir": _Event("file", _on_path("write", folders=1)),
    "os.remove": _Event("file", _on_path("delete", folders=1)),
    "os.removexattr": _Event("file", _on_path("edit")),
    "os.rename": _Event("file", _renamed),
    "os.rmdir": _Event("file", _on_path("delete", folders=1)),
    "os.scandir": _Event("file", _on_path("read")),
    "os.setxattr": _Event("file", _on_path("edit")),
    "os.symlink": _Event("file", _unnamed),
    "os.truncate": _Event("file", _on_path("edit")),
    "os.utime": _Event("file", _on_path("edit", folders=1)),
    "socket.bind": _Event("socket", _connected),
    "socket.connect": _Event("socket", _connected),
    "socket.getaddrinfo": _Event("socket", _looked_up),
    "socket.gethostbyaddr": _Event("socket", _looked_up),
    "socket.gethostbyname": _Event("socket", _looked_up),
    "socket.sendmsg": _Event("socket", _connected),
    "socket.sendto": _Event("socket", _connected),
    "os.exec": _Event("process", _program),
    "os.fork": _Event("process", _unnamed),
    "os.forkpty": _Event("process", _unnamed),
    "os.posix_spawn": _Event("process", _program),
    "os.spawn": _Event("process", _unnamed),
    "os.startfile": _Event("process", _unnamed),
    "os.system": _Event("process", _unnamed),
    "pty.spawn": _Event("process", _unnamed),
    "subprocess.Popen": _Event("process", _program),
    **({"cpython.PyInterpreterState_New": _Event("interpreter", _unnamed)} if ARE_ANNOUNCED else {}),
    "import": _Event("native", _native),
    "ctypes.call_function": _Event("ctypes", _unnamed),
    "ctypes.cdata": _Event("ctypes", _unnamed),
    "ctypes.dlopen": _Event("ctypes", _loaded),
    "ctypes.dlsym": _Event("ctypes", _unnamed),
    "ctypes.dlsym/handle": _Event("ctypes", _unnamed),
    "ctypes.string_at": _Event("ctypes", _unnamed),
    "ctypes.wstring_at": _Event("ctypes", _unnamed),
}


# --- the hook -----------------------------------------------------------------------------------------------------


def arm(installation: Installation) -> None:
    """Hang it up, for as long as this process lives. Do this once."""
    find = _EVENTS.get

    def hook(event: str, arguments: Arguments) -> None:
        # Called for whatever Python announces, whoever acts: this much it costs those who do not.
        found = find(event)
        if found is not None and installation.watches(found.kind):
            frame = inspect.currentframe()
            if installation.hears(found.kind) or not _is_wrapper(found.kind, frame and frame.f_back):
                _passed(installation, found, arguments, frame)

    sys.addaudithook(hook)


def _passed(installation: Installation, event: _Event, arguments: Arguments, hook: FrameType | None) -> None:
    # Still as the agent: arguments may be objects of its own, whose methods then run as nobody else.
    asking = None if hook is None else hook.f_back
    if event.kind == "file" and (_is_import(asking, arguments) or is_start(asking, arguments, installation.program)):
        return
    try:
        accesses = event.accesses(arguments)
    except Exception:  # noqa: BLE001 -- of whatever somebody passed, which may be anything: it has no name
        accesses = ()
    if accesses is not None:
        installation.tell_who_acts()
        Enforcement(Door(event.kind, accesses, is_refused=installation.is_strict), {}).wait().close()


def _is_wrapper(kind: str, asking: FrameType | None) -> bool:
    """
    Whether a wrapper itself asks, of those that stand for what they announce.

    While it does, code of the agent may run as well: the path of an object, a codec, a finaliser, a signal. That code
    has a frame of its own.
    """
    return asking is not None and any(
        asking.f_globals is vars(sys.modules[name]) for name in _WRAPPERS.get(kind, ()) if name in sys.modules
    )


_WRAPPERS: Final[dict[str, tuple[str, ...]]] = {
    "file": ("agentid.access.files.standard_library", "agentid.access.files.opening"),
    "process": ("agentid.access.programs.starting", "subprocess"),  # where `Popen` announces what it is about to start
}
"""The modules that call what announces something, by what they announce."""


def _is_import(frame: FrameType | None, arguments: Arguments) -> bool:
    """
    Whether the import system itself asks, on its way to a module, for what modules are read from and written to.

    Its functions, when called by anybody else, read any file; so it has to be on that way without a break.
    """
    asking = "" if frame is None else frame.f_code.co_name
    while frame is not None and frame.f_code.co_filename in _IMPORT_SYSTEM:
        if frame.f_code.co_name == "_find_and_load":
            path = arguments[0]
            # Not `path.endswith`: a subclass of `str` may lie about its characters.
            return asking != "get_data" or (isinstance(path, str) and str.endswith(path, _suffixes()))
        frame = frame.f_back
    return False


def is_start(frame: FrameType | None, arguments: Arguments, program: str) -> bool:
    """Whether Python itself opens the program that it is about to run: there is no code yet that could ask."""
    if not program or arguments[0] != program:
        return False
    while frame is not None and frame.f_code.co_filename in _STARTING:
        frame = frame.f_back
    return frame is None


_IMPORT_SYSTEM: Final = frozenset({"<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>"})
_STARTING: Final = _IMPORT_SYSTEM | {"<frozen zipimport>"}


@cache
def _suffixes() -> tuple[str, ...]:
    return tuple(importlib.machinery.all_suffixes())

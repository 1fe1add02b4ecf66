"""
Files: what `open`, `os`, `pathlib`, `shutil`, `tempfile` and everything above them do to which place.

- `open` reads (`r`), writes (`w`, `x`, `a`), and reads and edits (`r+`) or reads and writes (`w+`, `a+`).
- Removing is `delete`. Renaming is `read` and `delete` of what moves, with all that is in a folder, and `write` where
  it goes. Listing a folder is `read`; a new folder is `write`; modes, owners, times and truncating are `edit`.
- A link is `write` of its own place and `read` of what it leads to; a hard link is `edit` of that too, because it is
  another way to change it.

Wrapped is what all of these end in: `open`, which is below `open_code` too, and `FileIO`, which ask when the file is
opened, and the functions of `os`; `shutil`, `pathlib` and `tempfile` call them. The place is that of the file itself,
links followed: see `opening` for links that change meanwhile, and `python_files` for what Python itself reads.

Whatever opens a file inside of a session does so as the agent: the program's own log and its settings, too.

Not asked about: what is opened already, by descriptor; looking whether something exists, how large it is and where a
link leads (`os.stat`, `os.readlink`).
"""

from __future__ import annotations

import errno
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from operator import index
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.access import tripwire
from agentid.access.files.names import exact, folder_contents, place, place_of_descriptor
from agentid.access.files.opening import Opening, Wanted, refuse_swapped
from agentid.access.library import Library, Patch, Wrapper
from agentid.access.touching import announcements
from agentid.errors import Error
from agentid.permission import Action

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY"]

_OPS: Final[dict[str, tuple[Action, bool]]] = {
    "remove": ("delete", False),
    "unlink": ("delete", False),
    "rmdir": ("delete", False),
    "mkdir": ("write", False),
    "mkfifo": ("write", False),
    "mknod": ("write", False),
    "listdir": ("read", True),
    "scandir": ("read", True),
    "getxattr": ("read", True),
    "listxattr": ("read", True),
    "setxattr": ("edit", True),
    "removexattr": ("edit", True),
    "truncate": ("edit", True),
    "utime": ("edit", True),
    "chmod": ("edit", True),
    "chown": ("edit", True),
    "chflags": ("edit", True),
    "fchmod": ("edit", True),
    "fchown": ("edit", True),
    "lchmod": ("edit", False),
    "lchown": ("edit", False),
    "lchflags": ("edit", False),
    "chroot": ("execute", True),  # every path means another file then
}
"""What a function of `os` does to its first argument, and whether it follows a link there."""

_BY_DESCRIPTOR: Final = frozenset({"listdir", "scandir", "truncate"})
"""Of what is opened already, these do no more than the way that it was opened allows."""

_FIRST: Final = ("path", "fd")

_ANNOUNCED: Final = announcements("file")

_BEFORE_US: Final = (("tokenize", "_builtin_open"), ("tarfile", "bltn_open"), ("bz2", "_builtin_open"))
"""Where Python's own modules keep `open` under a name of theirs."""


class _Files:
    def __init__(self, access: Installation, opening: Opening) -> None:
        self.access = access
        self.opening = opening

    # --- opening ---------------------------------------------------------------------------------------------------

    def opens(self, position: int) -> Wrapper:
        """Wrap `open`, or `FileIO`, whose argument `opener` stands at *position*."""

        def wrapper(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if not self.access.watches("file"):
                return wrapped(*args, **kwargs)
            frame = inspect.currentframe()
            if args and tripwire.is_start(frame and frame.f_back, args, self.access.program):
                with self.access.accounting_for(_ANNOUNCED):
                    return wrapped(*args, **kwargs)  # Python looks whether the program is an archive
            given = args[position] if len(args) > position else kwargs.get("opener")
            args = args[:position] + args[position + 1 :]
            kwargs = {**kwargs, "opener": self._opener if given is None else self._handed_back(given)}
            with self.access.accounting_for(_ANNOUNCED):
                return wrapped(*args, **kwargs)

        return wrapper

    def _opener(self, path: Any, flags: int) -> int:
        return self.opening.open(path, flags, 0o666)

    def _handed_back(self, opener: Any) -> Callable[[Any, int], Any]:
        """Whatever the agent's own opener opens, it opens by something that asks, or it is a second door."""

        def opens(path: Any, flags: int) -> Any:
            with self.access.handing_back("file"):
                return opener(path, flags)

        return opens

    def opens_descriptor(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.access.watches("file"):
            return wrapped(*args, **kwargs)
        with self.access.accounting_for(_ANNOUNCED):
            return self._open(*args, **kwargs)

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: Any = None) -> int:
        return self.opening.open(path, index(flags), index(mode), folder=dir_fd)

    # --- one place ---------------------------------------------------------------------------------------------------

    def one(self, name: str) -> Wrapper:
        """Wrap a function that does one thing to its first argument."""

        def wrapper(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if not self.access.watches("file"):
                return wrapped(*args, **kwargs)
            given, rest, kwargs = _first(name, args, kwargs)
            if given is _MISSING:
                return wrapped(*args, **kwargs)  # which says what is missing
            with self.access.accounting_for(_ANNOUNCED):
                return self._do(name, wrapped, given, rest, kwargs)

        return wrapper

    def _do(self, name: str, wrapped: Any, given: Any, rest: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        action, follow = _OPS[name]
        kind = cast("type[Any]", type(given))
        if not isinstance(given, str | bytes) and not hasattr(kind, "__fspath__"):
            # An opened file, or nothing that such a function takes.
            if name in _BY_DESCRIPTOR or not hasattr(kind, "__index__"):
                return wrapped(given, *rest, **kwargs)
            descriptor = given.__index__()
            with self.opening.touching(f"{action} file", lambda: [(action, place_of_descriptor(descriptor))]):
                return wrapped(descriptor, *rest, **kwargs)
        path = exact(given)
        if not path:
            return wrapped(path, *rest, **kwargs)
        if "follow_symlinks" in kwargs:
            kwargs["follow_symlinks"] = bool(kwargs["follow_symlinks"])
        follow = follow and kwargs.get("follow_symlinks", True)
        if self.opening.python.is_importing():
            if action == "read":
                return wrapped(path, *rest, **kwargs)
            raise PermissionError(errno.EACCES, "an import inside of a session writes no bytecode", path)
        found: list[str] = []

        def find() -> Wanted:
            found.append(place(path, follow=follow, folder=kwargs.get("dir_fd")))
            return [(action, found[0])]

        touching = self.opening.touching(f"{action} file", find)
        python = self.opening.python
        if name in {"listdir", "scandir"} and (
            (found and python.is_import_folder(found[0])) or python.is_looking_for_distributions()
        ):
            return wrapped(path, *rest, **kwargs)
        _must_be_there(name, path, found)
        with touching as seen:
            if not found:
                return wrapped(path, *rest, **kwargs)
            if name == "scandir":  # its entries begin with the path that it was given
                return self._scan(wrapped, path, found[0])
            kwargs.pop("dir_fd", None)
            result = _renamed(wrapped, (path,), (_as_given(path, found[0]), *rest), kwargs)
            if name == "listdir":
                seen(rows=len(result))
            return result

    def _scan(self, wrapped: Any, path: str | bytes, at: str) -> Any:
        entries = wrapped(path)
        try:
            if place(path, follow=True) != at:
                refuse_swapped()
        except BaseException:
            entries.close()
            raise
        return entries

    # --- two places --------------------------------------------------------------------------------------------------

    def renames(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.access.watches("file"):
            return wrapped(*args, **kwargs)
        with self.access.accounting_for(_ANNOUNCED):
            return self._rename(wrapped, *args, **kwargs)

    def _rename(self, wrapped: Any, src: Any, dst: Any, *, src_dir_fd: Any = None, dst_dir_fd: Any = None) -> Any:
        source, target = exact(src), exact(dst)
        found: list[str] = []

        def find() -> Wanted:
            old, new = (place(source, follow=False, folder=src_dir_fd), place(target, follow=False, folder=dst_dir_fd))
            for action in ("delete", "read"):
                yield action, old
            yield "write", new
            for below in folder_contents(old):
                yield "delete", below
                yield "read", below
                yield "write", new + below[len(old) :]
            found.extend((old, new))

        with self.opening.touching("rename file", find):
            if not source or not target or not found:
                return wrapped(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            places = (_as_given(source, found[0]), _as_given(target, found[1]))
            return _renamed(wrapped, (source, target), places, {})

    def links(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.access.watches("file"):
            return wrapped(*args, **kwargs)
        with self.access.accounting_for(_ANNOUNCED):
            return self._link(wrapped, *args, **kwargs)

    def _link(
        self, wrapped: Any, src: Any, dst: Any, *, src_dir_fd: Any = None, dst_dir_fd: Any = None, **kwargs: Any
    ) -> Any:
        source, target = exact(src), exact(dst)
        found: list[str] = []

        def find() -> Wanted:
            new, old = place(target, follow=False, folder=dst_dir_fd), place(source, follow=False, folder=src_dir_fd)
            # Systems differ in whether they link to a link, or to what it leads to.
            olds = dict.fromkeys((old, place(source, follow=True, folder=src_dir_fd)))
            found.extend((old, new))
            return [("write", new), *((action, at) for at in olds for action in ("read", "edit"))]

        with self.opening.touching("link file", find):
            if not source or not target or not found:
                return wrapped(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **kwargs)
            places = (_as_given(source, found[0]), _as_given(target, found[1]))
            return _renamed(wrapped, (source, target), places, kwargs)

    def links_softly(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.access.watches("file"):
            return wrapped(*args, **kwargs)
        with self.access.accounting_for(_ANNOUNCED):
            return self._symlink(wrapped, *args, **kwargs)

    def _symlink(self, wrapped: Any, src: Any, dst: Any, *rest: Any, dir_fd: Any = None, **kwargs: Any) -> Any:
        source, target = exact(src), exact(dst)
        found: list[str] = []

        def find() -> Wanted:
            new = place(target, follow=False, folder=dir_fd)
            found.append(new)
            leads_to = os.path.join(os.path.dirname(new), os.fsdecode(source))
            return [("write", new), ("read", place(leads_to, follow=True))]

        with self.opening.touching("link file", find):
            if not source or not target or not found:
                return wrapped(source, target, *rest, dir_fd=dir_fd, **kwargs)
            return _renamed(wrapped, (source, target), (source, _as_given(target, found[0]), *rest), kwargs)

    # --- tracebacks --------------------------------------------------------------------------------------------------

    def shows_lines(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.access.watches("file"):
            return wrapped(*args, **kwargs)
        try:
            return wrapped(*args, **kwargs)
        except Error:
            # A refusal in the middle of writing a traceback would hide the error that it is about.
            return []


_MISSING: Final = object()


def _must_be_there(name: str, path: str | bytes, found: list[str]) -> None:
    # As with a file that is to be read: see `files.opening`.
    if name in {"listdir", "scandir"} and found and not os.path.lexists(found[0]):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _first(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    if args:
        return ("." if args[0] is None and name in _BY_DESCRIPTOR else args[0]), args[1:], dict(kwargs)
    rest = dict(kwargs)
    for parameter in _FIRST:
        if parameter in rest:
            return _first(name, (rest.pop(parameter),), rest)
    return ("." if name in {"listdir", "scandir"} else _MISSING), (), rest


def _as_given(given: str | bytes, at: str) -> str | bytes:
    """Give a place as text or bytes as it was given, with the slash at its end, which systems care about."""
    if os.fsdecode(given).endswith("/") and not at.endswith("/"):
        at += "/"
    return at if isinstance(given, str) else os.fsencode(at)


def _renamed(wrapped: Any, given: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call it with places, and let an error speak of the paths that were given."""
    try:
        return wrapped(*args, **kwargs)
    except OSError as error:
        error.filename = given[0]
        if len(given) > 1:
            error.filename2 = given[1]
        raise


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    import _io
    import builtins
    import linecache

    # While it is imported, `FileIO` has to be a class: `dill` and others import it.
    import_module("_pyio")
    system: Any = sys.modules.get(os.name, os)
    files = _Files(access, Opening(access, lambda: LIBRARY, _plain(vars(module)["open"])))
    opens = files.opens(7)
    for owner in (builtins, sys.modules["io"], _io):
        yield Patch(owner, "open", opens)
    for owner in (sys.modules["io"], _io):
        yield Patch(owner, "FileIO", files.opens(3))
    yield Patch(linecache, "updatecache", files.shows_lines)
    wrappers: dict[str, Wrapper] = {name: files.one(name) for name in _OPS}
    wrappers |= {"open": files.opens_descriptor, "rename": files.renames, "replace": files.renames}
    wrappers |= {"link": files.links, "symlink": files.links_softly}
    # Python's own modules that took these functions by another name before; later ones take ours.
    accessor = getattr(sys.modules.get("pathlib"), "_NormalAccessor", None)
    globber = getattr(sys.modules.get("glob"), "_StringGlobber", None)
    for owner in dict.fromkeys((module, system, accessor, globber)):
        for name, wrapper in wrappers.items():
            found = None if owner is None or (owner is accessor and name == "open") else vars(owner).get(name)
            # Those of the system also where somebody has put one of his own there.
            if found is not None and (owner in (module, system) or _is_bare(found)):
                yield Patch(owner, name, wrapper)
    if accessor is not None:
        yield Patch(accessor, "open", opens)
    for holder, name in _BEFORE_US:
        if holder in sys.modules and _is_bare(vars(sys.modules[holder]).get(name)):
            yield Patch(sys.modules[holder], name, opens)


def _plain(function: Any) -> Any:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def _is_bare(function: Any) -> bool:
    # A function written in C, also as a static method; a function of Python calls these.
    inner = getattr(function, "__func__", function)
    return inner is not None and type(inner) is type(len)


LIBRARY: Final = Library(
    name="files",
    module="os",
    layer="file",
    patches=_patches,
    limits=(
        "classes derived from `io.FileIO`, and its objects opened anew; names that `from os import …` took before; "
        "files opened in C (`dbm.gnu`, `readline`, `ssl`, `ctypes`); reading on in an opened file; removal of "
        "temporary files when closed; whether a file is there, its size and times; the names in a folder that an "
        "import looks in"
    ),
)

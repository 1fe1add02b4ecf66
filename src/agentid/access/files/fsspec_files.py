"""
`fsspec`: what file systems of any kind do to which path, such as `memory://a/b`, `s3://bucket/key` or `ftp://host/a/b`.

Each implementation overrides the methods that it wants to, and there is no place that all of them go through. Wrapped
are the methods that implementations define, synchronous and asynchronous, in each class that there is, and in each that
is made later; those of the base classes only call them.

- Reading and listing is `read`, and so is asking what something is. `pipe`, `put`, `touch` and new folders are `write`.
  Moving is `read` and `delete` of the source, and `write` of the target. A signed URL is `share`.
- Local files, and file systems on HTTP, are left to the layer below, where that is wrapped: it knows more, such as
  links and redirects. Those that only stand on others (a folder, references, `generic`) ask through them.
- One that caches asks for what it would fetch, also where it has it already.
- A class that somebody derives from a known one is what that one is, whatever it says about itself.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.access.library import Library, Patch
from agentid.access.places import file_resource, web_resource
from agentid.access.s3.operations import s3_resource
from agentid.errors import ConfigurationError
from agentid.permission import Action
from agentid.record import Access
from agentid.resource import Resource

if TYPE_CHECKING:
    from agentid.access.installation import Installation
    from agentid.access.touching import Touching

__all__ = ["LIBRARY"]

_Spec = tuple[tuple[Action, int], ...]

_METHODS: Final[dict[str, _Spec]] = {
    "cat": (("read", 0),),
    "cat_file": (("read", 0),),
    "cat_ranges": (("read", 0),),
    "created": (("read", 0),),
    "exists": (("read", 0),),
    "find": (("read", 0),),
    "get_file": (("read", 0),),
    "info": (("read", 0),),
    "isdir": (("read", 0),),
    "isfile": (("read", 0),),
    "ls": (("read", 0),),
    "modified": (("read", 0),),
    "sign": (("read", 0), ("share", 0)),
    "url": (("read", 0), ("share", 0)),
    "makedirs": (("write", 0),),
    "mkdir": (("write", 0),),
    "pipe": (("write", 0),),
    "pipe_file": (("write", 0),),
    "put_file": (("write", 1),),
    "touch": (("write", 0),),
    "setxattr": (("edit", 0),),
    "chmod": (("share", 0),),
    "rm": (("delete", 0),),
    "rm_file": (("delete", 0),),
    "rmdir": (("delete", 0),),
    "cp_file": (("read", 0), ("write", 1)),
    "mv": (("read", 0), ("delete", 0), ("write", 1)),
    "mv_file": (("read", 0), ("delete", 0), ("write", 1)),
    "open": (),
    "open_async": (),
}
"""What a method does to which of its arguments; `open` and `open_async` say it by their mode."""

_NAMES: Final = (("path", "rpath", "path1", "paths"), ("path2", "rpath"))
"""What the first and the second argument are called, by one implementation or another."""

_MODES: Final[dict[str, tuple[Action, ...]]] = {
    "r": ("read",),
    "w": ("write",),
    "x": ("write",),
    "a": ("write",),
    "r+": ("read", "edit"),
    "w+": ("read", "write"),
    "x+": ("read", "write"),
    "a+": ("read", "write"),
}

_IMPLEMENTATIONS: Final = "fsspec.implementations"
_STANDS_ON: Final = {
    "local": "file",
    "http": "aiohttp",
    "http_sync": "requests",
    "dbfs": "requests",
    "gist": "requests",
    "github": "requests",
    "jupyter": "requests",
    "webhdfs": "requests",
}
"""The layer that an implementation ends in, and that knows better what is touched."""
_TRANSPARENT: Final = frozenset({"dirfs", "generic", "reference", "asyn_wrapper", "data"})
_BUCKETS: Final = frozenset({"abfs", "abfss", "adl", "az", "gcs", "gs", "oss", "r2"})
_LAYERS: Final = {"s3fs": "aiohttp", "gcsfs": "aiohttp", "adlfs": "aiohttp"}


class _FileSystems:
    def __init__(self, module: ModuleType, access: Installation) -> None:
        self.base: Any = module.AbstractFileSystem
        self.access = access

    # --- which ones there are ----------------------------------------------------------------------------------------

    def patches(self, module: ModuleType, asyn: ModuleType) -> Iterable[Patch]:
        yield Patch(type(self.base), "__init__", self.makes_class)
        yield Patch(asyn, "sync", self.waits)
        for kind in _below(self.base):
            if kind.__module__ in {module.__name__, asyn.__name__}:
                continue
            defined = cast("dict[str, Any]", vars(kind))
            for name, function in tuple(defined.items()):
                if name.removeprefix("_") in _METHODS and inspect.isfunction(function):
                    yield Patch(kind, name, self.asks_async if inspect.iscoroutinefunction(function) else self.asks)

    def makes_class(self, wrapped: Any, _kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A file system that somebody defines only now."""
        wrapped(*args, **kwargs)
        self.access.again(LIBRARY)

    def waits(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`sync(loop, function, …)`: an object that was made before keeps methods as they were; its class has ours."""
        if self.access.watches("fsspec"):
            loop, function, *rest = args
            owner = function.__self__ if isinstance(function, MethodType) else rest[0] if rest else None
            name = getattr(function, "__name__", "")
            if isinstance(owner, self.base) and name.removeprefix("_") in _METHODS:
                rest = rest if isinstance(function, MethodType) else rest[1:]
                args = (loop, getattr(owner, name), *rest)
        return wrapped(*args, **kwargs)

    # --- what they do ------------------------------------------------------------------------------------------------

    def asks(self, wrapped: Any, files: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.access.watches("fsspec") or self._is_passed_on(files):
            return wrapped(*args, **kwargs)
        name = str(wrapped.__name__).removeprefix("_")
        args, kwargs = _copied(args), _copied(kwargs)
        below: list[Any] = []
        if name == "rm" and _is_recursive(args, kwargs):
            below = [each for path in _paths(args, kwargs, 0) for each in files.find(path, withdirs=True)]
        with self._touching(files, name, args, kwargs, below) as seen:
            result = wrapped(*args, **kwargs)
            _look_at(name, result, seen)
            return result

    def asks_async(self, wrapped: Any, files: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.access.watches("fsspec") or self._is_passed_on(files):
            return wrapped(*args, **kwargs)
        return self._ask_async(wrapped, files, _copied(args), _copied(kwargs))

    async def _ask_async(self, wrapped: Any, files: Any, args: Any, kwargs: Any) -> Any:
        name = str(wrapped.__name__).removeprefix("_")
        below: list[Any] = []
        if name == "rm" and _is_recursive(args, kwargs):
            for path in _paths(args, kwargs, 0):
                below += await files._find(path, withdirs=True)
        async with self._touching(files, name, args, kwargs, below) as seen:
            result = await wrapped(*args, **kwargs)
            _look_at(name, result, seen)
            return result

    def _is_passed_on(self, files: Any) -> bool:
        name = _implementation(_kind(files))
        return name in _TRANSPARENT or self.access.wraps(_STANDS_ON.get(name, ""))

    def _touching(self, files: Any, name: str, args: Any, kwargs: Any, below: Iterable[Any]) -> Touching:
        def accesses() -> Iterable[Access]:
            if name in {"open", "open_async"}:
                spec: _Spec = tuple((action, 0) for action in _actions(args, kwargs))
            else:
                spec = _METHODS[name]
            asked: list[tuple[Action, Any]] = [
                (action, path) for action, index in spec for path in _paths(args, kwargs, index)
            ]
            found = [Access(action, _resource(files, path)) for action, path in asked]
            return [*found, *(Access("delete", _resource(files, path)) for path in below)]

        return self.access.touching(LIBRARY, accesses, f"{name} {_protocol(files)}", accounts_for=_accounts_for(files))


def _below(kind: Any) -> Iterator[Any]:
    for each in type.__subclasses__(kind):
        yield each
        yield from _below(each)


def _kind(files: Any) -> Any:
    """Give the known class that this is, or is derived from; else its own."""
    kinds = cast("tuple[Any, ...]", type(files).__mro__)
    return next((kind for kind in kinds if _implementation(kind) or _package(kind)), kinds[0])


def _implementation(kind: Any) -> str:
    """Name the module of `fsspec` that a class is in; empty if it only says so."""
    name = str(kind.__module__)
    is_there = getattr(sys.modules.get(name), kind.__name__, None) is kind
    package, _, module = name.rpartition(".")
    return module if is_there and (package == _IMPLEMENTATIONS or name == "fsspec.generic") else ""


def _package(kind: Any) -> str:
    """Name the package of an implementation that is known here; empty if it is a stranger's."""
    name = str(kind.__module__)
    is_there = getattr(sys.modules.get(name), kind.__name__, None) is kind
    return name.partition(".")[0] if is_there and name.partition(".")[0] in _LAYERS else ""


def _inner(files: Any) -> Any:
    """Give the file system that one that caches stands on."""
    if _implementation(_kind(files)) != "cached":
        return None
    # Its attributes are those of the inner one, as far as it can.
    return object.__getattribute__(files, "__dict__").get("fs")


def _protocol(files: Any) -> str:
    inner = _inner(files)
    given: Any = _kind(files if inner is None else inner).protocol
    return str(given if isinstance(given, str) else next(iter(given), ""))


def _accounts_for(files: Any) -> frozenset[str]:
    """Give what stands below, where all of it is known: in a stranger's methods the agent's own code runs."""
    inner, kind = _inner(files), _kind(files)
    if kind is not type(files):
        return frozenset()
    if inner is not None:
        below = _accounts_for(inner)
        return below | {"file"} if below else below
    name, package = _implementation(kind), _package(kind)
    layer = _LAYERS.get(package) or _STANDS_ON.get(name)
    return frozenset({"fsspec", *([layer] if layer else [])}) if name or package else frozenset()


def _resource(files: Any, path: Any) -> Resource:
    inner = _inner(files)
    if inner is not None:
        return _resource(inner, files._strip_protocol(path))
    plain, protocol = _kind(files)._strip_protocol(path), _protocol(files)
    if not isinstance(plain, str):
        raise ConfigurationError("a path is no text")
    if protocol in {"file", "local"}:
        return file_resource(plain)
    if protocol in {"http", "https"}:
        return web_resource(plain.partition("?")[0].partition("#")[0])
    bucket, _, key = plain.strip("/").partition("/")
    if protocol in {"s3", "s3a"}:
        return s3_resource(bucket, *([key] if key else []))
    segments = plain.strip("/").split("/") if plain.strip("/") else []
    if protocol in _BUCKETS:
        return Resource.of(protocol, *segments)
    host, port = getattr(files, "host", None), getattr(files, "port", None)
    return Resource.of(protocol, f"{host}:{port}" if host and port else str(host or ""), *segments)


def _paths(args: Any, kwargs: Mapping[str, Any], index: int) -> list[Any]:
    if len(args) > index:
        given = args[index]
    else:
        named = [kwargs[name] for name in _NAMES[index] if name in kwargs]
        if not named:
            raise ConfigurationError("it does not say which path")
        given = named[0]
    return list(cast("Iterable[Any]", given)) if isinstance(given, list | dict) else [given]


def _actions(args: Any, kwargs: Mapping[str, Any]) -> tuple[Action, ...]:
    mode = args[1] if len(args) > 1 else kwargs.get("mode", "rb")
    try:
        return _MODES[mode.replace("b", "").replace("t", "")]
    except (AttributeError, KeyError, TypeError):
        raise ConfigurationError("a file is opened in a way that is not known") from None


def _is_recursive(args: Any, kwargs: Mapping[str, Any]) -> bool:
    return bool(args[1] if len(args) > 1 else kwargs.get("recursive"))


def _copied(value: Any) -> Any:
    """Copy lists and tables of paths, and make paths text, so that they do not change any more."""
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in cast("dict[Any, Any]", value).items()}
    if isinstance(value, tuple):
        return tuple(_copied(each) for each in cast("tuple[Any, ...]", value))
    if isinstance(value, list):
        return [_copied(each) for each in cast("list[Any]", value)]
    if isinstance(value, str):
        return str.__str__(value)
    return value.__fspath__() if hasattr(value, "__fspath__") else value


def _look_at(name: str, result: Any, seen: Touching) -> None:
    if name in {"cat", "cat_file"} and isinstance(result, bytes):
        seen(size=len(result))
    elif name in {"ls", "find"} and isinstance(result, list | dict):
        seen(rows=len(cast("list[Any]", result)))


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    return _FileSystems(module, access).patches(module, importlib.import_module("fsspec.asyn"))


LIBRARY: Final = Library(
    name="fsspec",
    module="fsspec.spec",
    layer="fsspec",
    patches=_patches,
    distribution="fsspec",
    limits="what is read later of an opened file; what is below in C (pyarrow); the store of `memory://` itself",
)

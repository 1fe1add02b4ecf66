"""
Being told of a module whenever it was executed, and before whoever imports it has it.

- Each time: also where it was forgotten (`del sys.modules[name]`) and is imported anew, or is reloaded.
- What raises on being told makes the import fail, again at each try: nobody gets a module that could not be wrapped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

__all__ = ["Imports"]


class Imports(MetaPathFinder):
    """
    Finds the modules that somebody waits for, by what else can find them.

    Args:
        arrived: Is told of each of them, once it was executed.
    """

    def __init__(self, arrived: Callable[[ModuleType], None]) -> None:
        self._arrived = arrived
        self._names: set[str] = set()

    def expect(self, name: str) -> None:
        """Wait for the module of this name."""
        self._names.add(name)

    def turn_on(self) -> None:
        """Look at imports from now on, before anybody else does."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def turn_off(self) -> None:
        """Leave imports alone."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Find it as it would be found without this, and be told once it is there."""
        if fullname not in self._names:
            return None
        for finder in tuple(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = None if find is None else find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _loader()(spec.loader, self._arrived)
                return spec
        return None


@cache
def _loader() -> Any:
    from wrapt import ObjectProxy

    class Loader(ObjectProxy):  # type: ignore[type-arg]
        """A loader that tells of what it has loaded, and is otherwise the one that it stands for."""

        def __init__(self, loader: Any, arrived: Callable[[ModuleType], None]) -> None:
            cast("Any", super()).__init__(loader)
            self._self_arrived = arrived

        def create_module(self, spec: ModuleSpec) -> ModuleType | None:
            return cast("Any", self).__wrapped__.create_module(spec)

        def exec_module(self, module: ModuleType) -> None:
            loader, spec = cast("Any", self).__wrapped__, cast("Any", module.__spec__)
            # Whoever looks at the module finds the loader that is its own.
            if getattr(spec, "loader", None) is self:
                spec.loader = loader
            if getattr(module, "__loader__", None) is self:
                module.__loader__ = loader
            loader.exec_module(module)
            self._self_arrived(module)

    return Loader

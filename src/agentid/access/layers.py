"""
The layer around each wrapped function, and its place among the layers of others: ours is the outermost.

OpenTelemetry's instrumentations wrap some of the same functions. Theirs around ours would tell of calls that were
refused, and when it is turned off, what it takes away is the outermost layer, whoever made it. So while one is turned
on or off, ours steps below theirs, and comes back on top of whatever it left.

At no moment is a function without a layer that decides, except one that theirs replaced by a plain function, while that
is taken away. What remains of ours below theirs decides nothing that the layer on top is deciding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.access.c_types import put
from agentid.access.library import Library, Patch
from agentid.access.touching import Inside, announcements

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["INSTRUMENTATIONS", "Place"]


class Place:
    """
    One function that is wrapped.

    Args:
        library: Whose it is.
        patch: Which one, and what runs instead.
        inside: Says whether an access of that library is being made.

    Raises:
        KeyError: There is no such function.
    """

    def __init__(self, library: Library, patch: Patch, inside: Inside) -> None:
        self.library = library
        self.patch = patch
        self._inside = inside
        self._lowered: Any = None
        self._undo: Callable[[], None] | None = None
        self._wrap(self._below(self._stored))  # what was left of an earlier time, below somebody who is gone

    @property
    def _stored(self) -> Any:
        # As it is stored, and not as it is bound when it is looked up.
        return cast("dict[str, Any]", vars(self.patch.owner))[self.patch.name]

    @property
    def _is_on_top(self) -> bool:
        # Somebody may have taken the function away as a whole.
        return cast("dict[str, Any]", vars(self.patch.owner)).get(self.patch.name) is self._layer

    def is_of(self, library: Library, patch: Patch) -> bool:
        """Whether it is this function."""
        return (library.name, patch.owner, patch.name) == (self.library.name, self.patch.owner, self.patch.name)

    def stands(self, *, is_new: bool) -> bool:
        """
        Whether the function is ours, or what somebody put around it.

        Args:
            is_new: Whether its module was just executed, so that it is anything else that nobody put around ours.
        """
        if self._stored is self._layer or self._lowered is not None:
            return True
        return not is_new and self._stored is not self._original

    def unwrap(self) -> bool:
        """Take our layer away, if it is the outermost; say whether it was."""
        if not self._is_on_top:
            return False
        self._put(self._original)
        return True

    def lower(self, *, is_being_unwrapped: bool) -> None:
        """Let somebody find the function with their own layer outermost, if they have one, and ours below it."""
        if not self._is_on_top:
            return  # somebody wrapped it since, whom we leave alone
        theirs: Any = self._original
        if not is_being_unwrapped:
            self._lowered = self._inner(theirs)
        elif _is_layer(theirs):
            self._lowered, below = theirs, theirs.__wrapped__
            if self._below(below) is below:
                theirs.__wrapped__ = self._inner(below)
                self._undo = lambda: setattr(theirs, "__wrapped__", below)
        else:
            self._lowered = self._layer
        self._put(self._lowered)

    def rise(self) -> None:
        """Put our layer on top again."""
        lowered, self._lowered, undo, self._undo = self._lowered, None, self._undo, None
        if lowered is None or self.patch.name not in vars(self.patch.owner):
            return
        found = self._stored
        if found is lowered:  # they did nothing here
            self._put(self._layer)
            if undo is not None:
                undo()
            return
        self._wrap(self._below(found))

    def _wrap(self, original: Any) -> None:
        self._original = original
        kind = _covering_type() if _is_layer(original) else _layer_type()
        self._layer = kind(original, self, None)
        self._put(self._layer)

    def _inner(self, original: Any) -> Any:
        own, inside = announcements(self.library.layer), self._inside
        return _layer_type()(original, self, lambda: inside.get().isdisjoint(own))

    def _below(self, function: Any) -> Any:
        """What lies below the layers of this library: there may be others of ours, as a child's start has two."""
        while True:
            # It may have been bound to its class when somebody looked it up there.
            layer = getattr(function, "_self_parent", None) or function
            if not isinstance(layer, _layer_type()) or layer._self_library != self.library.name:
                return function
            function = function.__wrapped__

    def _put(self, value: Any) -> None:
        put(self.patch.owner, self.patch.name, value)


def _is_layer(function: Any) -> bool:
    """Whether it is somebody's layer, and no decorator of the library itself."""
    from wrapt import FunctionWrapper

    if isinstance(function, FunctionWrapper):
        return True
    module = str(getattr(function, "__globals__", {}).get("__name__", ""))
    return hasattr(function, "__wrapped__") and module.startswith("opentelemetry.")


@cache
def _layer_type() -> Any:
    from wrapt import FunctionWrapper

    class Layer(FunctionWrapper):  # type: ignore[type-arg]
        """A wrapped function that is copied and pickled by its name, as the function itself was."""

        __bound_function_wrapper__ = _bound_type()

        def __init__(self, original: Any, place: Place, enabled: Callable[[], bool] | None) -> None:
            cast("Any", super()).__init__(original, place.patch.wrapper, enabled)
            self._self_owner_of_patch, self._self_name = place.patch.owner, place.patch.name
            self._self_library = place.library.name

        def __reduce_ex__(self, _protocol: object) -> Any:
            from pkgutil import resolve_name

            if isinstance(self._self_owner_of_patch, ModuleType):
                # By what every Python has: it may be read where this library is not.
                return resolve_name, (f"{self._self_owner_of_patch.__name__}:{self._self_name}",)
            return getattr, (self._self_owner_of_patch, self._self_name)

        def __copy__(self) -> Any:
            return self

        def __deepcopy__(self, _memo: object) -> Any:
            return self

    return Layer


@cache
def _bound_type() -> Any:
    from wrapt import BoundFunctionWrapper

    class Bound(BoundFunctionWrapper):  # type: ignore[type-arg]
        """A method of a class or an object, which is copied and pickled as methods are."""

        @property
        def _self_whose(self) -> Any:
            layer, bound_to = cast("Any", self)._self_parent, getattr(cast("Any", self).__wrapped__, "__self__", None)
            instance = cast("Any", self)._self_instance
            if instance is not None:
                return instance
            return bound_to if isinstance(bound_to, type) else layer._self_owner_of_patch

        def __reduce_ex__(self, _protocol: object) -> Any:
            return getattr, (self._self_whose, cast("Any", self)._self_parent._self_name)

        def __copy__(self) -> Any:
            return self

        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            return getattr(deepcopy(self._self_whose, memo), cast("Any", self)._self_parent._self_name)

    return Bound


@cache
def _covering_type() -> Any:
    class Bound(_bound_type()):
        """Is not taken for theirs by who would take it away from one object: only what lies below is."""

        def __getattr__(self, name: str) -> Any:
            if name.startswith("opentelemetry_instrumentation_"):
                raise AttributeError(name)
            own: Any = super()
            return own.__getattr__(name)

    class Covering(_layer_type()):
        """A layer above one of OpenTelemetry's."""

        __bound_function_wrapper__ = Bound

    return Covering


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    def turns(name: str, *, is_being_unwrapped: bool) -> Patch:
        def wrapper(wrapped: Any, _instrumentor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            with access.lowered(is_being_unwrapped=is_being_unwrapped):
                return wrapped(*args, **kwargs)

        return Patch(module.BaseInstrumentor, name, wrapper)

    return [turns("instrument", is_being_unwrapped=False), turns("uninstrument", is_being_unwrapped=True)]


INSTRUMENTATIONS: Final = Library(
    name="opentelemetry-instrumentation",
    module="opentelemetry.instrumentation.instrumentor",
    layer="opentelemetry",
    patches=_patches,
)
"""Not a library that touches data: all of OpenTelemetry's instrumentations, as they are turned on and off."""

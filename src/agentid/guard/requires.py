"""`@requires`: what a tool touches, said where the tool is written."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any, TypeVar, cast

from agentid.errors import ConfigurationError, quote
from agentid.guard.calls import around
from agentid.guard.enforce import Enforcement
from agentid.guard.quick import quickened
from agentid.guard.tool import Tool

__all__ = ["requires"]

T = TypeVar("T")


def requires(*requirements: str | Callable[..., Any], sinks: Collection[str] = ()) -> Callable[[T], T]:
    """
    Guard a function: each call is decided before it runs, and recorded.

    The decorated function keeps its kind, signature, name and docstring. It runs only inside
    `with guard.acting_as(agent):`, and only if the agent's grant allows every requirement.

    ```python
    @requires("read:crm/customers/{customer_id}")
    def get_customer(customer_id: str) -> dict[str, str]: ...
    ```

    Args:
        requirements: Each `action:resource`. `{name}` stands for the argument of that name, as one segment;
            `{name.attribute}` for an attribute of it; `{name:path}` for several segments. A list, tuple or
            set binds one resource for each element, None and empty bind none. A function of the tool's
            parameters may compute what no template can say.
        sinks: Parameters that decide where or what an effect hits, such as a recipient.

    Raises:
        ConfigurationError: While decorating: a requirement is not one, or names no parameter.
    """
    if len(requirements) == 1 and inspect.isfunction(requirements[0]) and not sinks:
        only = requirements[0]
        if only.__name__ != "<lambda>" and "<locals>" not in only.__qualname__ and not only.__code__.co_argcount:
            raise ConfigurationError(
                f"`requires` was used without requirements on {quote(only.__name__)}",
                fix='Write @requires("read:…") with brackets',
            )

    def decorate(target: T) -> T:
        if isinstance(target, classmethod | staticmethod):
            descriptor = cast("Any", target)
            return cast("T", type(descriptor)(decorate(descriptor.__func__)))
        if inspect.isclass(target) or isinstance(target, property) or not callable(target):
            raise ConfigurationError(
                f"{quote(getattr(target, '__name__', type(target).__name__))} is no function that could be guarded",
                fix="Decorate its methods",
            )
        tool = Tool(target, requirements, sinks)

        body = tool.by_name(cast("Any", target)) if tool.is_believed else None

        def enforce(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Enforcement:
            return Enforcement(tool, tool.arguments(args, kwargs))

        return cast("T", quickened(cast("Any", target), tool, around(cast("Any", target), enforce, body)))

    return decorate

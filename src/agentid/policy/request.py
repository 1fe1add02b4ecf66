"""The question: may this agent do this to that, with these arguments?"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from agentid.permission import Action
from agentid.resource import Resource

__all__ = ["NO_ARGUMENTS", "AccessRequest"]

NO_ARGUMENTS: Final[Mapping[str, Any]] = MappingProxyType({})


class AccessRequest(NamedTuple):
    """
    One access, in the model of subject, action, resource and context (OpenID AuthZEN 1.0, section 5).

    Attributes:
        agent: SPIFFE ID of the acting agent.
        action: One of the six.
        resource: What is touched.
        arguments: The call's arguments by parameter name, however they were passed.
        labels: Labels of the data at the resource.
        context: Facts about the call that are no arguments, such as the tool's name and the task.
    """

    agent: str
    action: Action
    resource: Resource
    arguments: Mapping[str, Any] = NO_ARGUMENTS
    labels: tuple[str, ...] = ()
    context: Mapping[str, Any] = NO_ARGUMENTS

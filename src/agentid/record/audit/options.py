"""What people pass to an audit log: checked, and refused in words for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TypeGuard, cast

from agentid.errors import ConfigurationError, quote
from agentid.record.audit.anchor_sender import Anchor
from agentid.record.audit.chain import MAX_UNSIGNED
from agentid.record.audit.retention import MINIMUM_AGE
from agentid.signing import ED25519

__all__ = ["callables", "check_kinds", "check_limits"]


def check_kinds(signer: object, durability: object, clock: object) -> None:
    """
    Check that these are what an audit log can be made of.

    Raises:
        ConfigurationError: They are not.
    """
    if getattr(signer, "alg", None) != ED25519:
        raise ConfigurationError(
            "The signer of the audit log was refused",
            why="checkpoints are signed with Ed25519, by a key that is used for nothing else",
            fix="Pass `authority.audit_signer()`",
        )
    if durability not in ("process", "disk"):
        raise ConfigurationError(f"The durability {quote(durability)} was refused", fix="Use `process` or `disk`")
    if not callable(clock):
        raise ConfigurationError("The clock was refused", why="it cannot be called")


def check_limits(
    records: object, seconds: object, size: object, age: object, retention: object, *, deletes: bool
) -> None:
    """
    Check that these limits are numbers, spans of time, and within what is sensible.

    Raises:
        ConfigurationError: They are not.
    """
    if not (_is_number(records) and 0 < records <= MAX_UNSIGNED // 2 and _is_number(seconds) and seconds > 0):
        raise ConfigurationError(
            "The interval of checkpoints was refused", why=f"it is 1 to {MAX_UNSIGNED // 2} records, and some time"
        )
    if not (_is_number(size) and size > 0 and isinstance(age, timedelta) and age > timedelta(0)):
        raise ConfigurationError("The size or age of audit files was refused", why="it must be more than nothing")
    if retention is None:
        return
    if not isinstance(retention, timedelta):
        raise ConfigurationError("The retention of the audit log was refused", why="it must be a `timedelta`")
    if retention < MINIMUM_AGE and not deletes:
        raise ConfigurationError(
            "The retention of the audit log was refused",
            why=f"the EU AI Act asks for six months, which is {MINIMUM_AGE.days} days here",
            fix="Use a longer one, or say `delete_evidence_younger_than_six_months=True` and have a reason",
        )


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in {int, float}  # `True` is none


def callables(anchors: object) -> tuple[Anchor, ...]:
    """
    Give the anchors of an audit log, if they are a list of what can be called.

    Raises:
        ConfigurationError: They are not.
    """
    try:
        found = tuple(cast("Iterable[Anchor]", anchors))
    except TypeError:
        found = ()
        anchors = None
    if anchors is None or not all(map(callable, found)):
        raise ConfigurationError("An anchor was refused", why="it must be a list of what can be called")
    return found

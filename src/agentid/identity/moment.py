"""What people pass as a time, and what a clock answers: Unix seconds, or nothing can be verified."""

from __future__ import annotations

import math
from datetime import datetime

from agentid.errors import CredentialError

__all__ = ["Now", "seconds"]

Now = float | datetime | None
"""A moment as it may be passed; `None` is the present."""


def seconds(moment: object) -> float:
    """
    Give *moment* in Unix seconds.

    Raises:
        CredentialError: It is neither a finite number nor a time with a time zone.
    """
    if type(moment) is float and math.isfinite(moment):
        return moment
    try:
        if isinstance(moment, datetime) and moment.utcoffset() is not None:
            return moment.timestamp()
        if isinstance(moment, int | float) and not isinstance(moment, bool) and math.isfinite(moment):
            return moment
    except (OverflowError, ValueError):
        pass
    raise CredentialError(
        "Nothing can be verified",
        why="the time is neither a number of seconds nor a time with a time zone",
        fix="Pass `now` as Unix seconds, or leave it out",
    )

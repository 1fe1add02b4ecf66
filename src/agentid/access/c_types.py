"""
Functions of types that are written in C, such as `sqlite3.Cursor`: Python refuses to set an attribute on those.

A subclass in their place would guard only the objects that are made from it, and neither those that were made before
nor whoever has the type itself. So the function is put where the type looks for it, and the type is told to look again.

What this does not do: slots. `for row in cursor` calls C without looking for a function.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Any

from agentid.guard.session import NobodyActing

__all__ = ["put"]


def put(owner: Any, name: str, value: Any) -> None:
    """
    Set an attribute of a module or a class, also of one that is written in C.

    Raises:
        TypeError: This Python has no way to.
    """
    try:
        setattr(owner, name, value)
    except TypeError:
        # A view of the namespace refers to the namespace itself, and to nothing else.
        found = gc.get_referents(vars(owner))
        if len(found) != 1 or type(found[0]) is not dict or name not in found[0]:
            raise
        found[0][name] = value
        with NobodyActing():  # it is no second door of an agent that imports this library
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))

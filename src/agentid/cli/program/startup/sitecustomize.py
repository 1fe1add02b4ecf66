# ruff: noqa: INP001 -- no package: Python itself finds this file
"""
What Python imports before a program, where this folder stands first on `PYTHONPATH`.

It opens the session of `agentid run` if the environment names one, or ends the process: a program that cannot be
guarded is not run. Then it makes room for a `sitecustomize` of the user's own, and is gone. Any version of Python that
the program starts may find this file.
"""

from __future__ import annotations

import os
import sys


def _begin() -> None:
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 -- a program may never need pathlib
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path_importer_cache.pop(here, None)
    sys.modules.pop("sitecustomize", None)
    given = os.environ.get("AGENTID_RUN", "")
    if not given:
        return
    try:
        from agentid.cli.program.start import start

        failure, code = start(given)
    except ImportError as error:
        # A Python that has no agentid is a program like any other: who started it was asked. The program that
        # `agentid run` was given is not.
        if error.name == "agentid" and not given.endswith("program.json"):
            return
        failure, code = f"this process cannot be guarded: {sys.executable} has no working agentid ({error})", 1
    except BaseException as error:  # noqa: BLE001 -- whatever it is, the program must not start
        failure, code = f"this process cannot be guarded ({type(error).__name__})", 1
    if failure:
        try:
            sys.stderr.write(f"agentid: {failure}\n")
            sys.stderr.flush()
        finally:
            # Python would go on after any exception in here.
            os._exit(code)


_begin()

# One of the user's own, if there is one: exactly as if this had never been.
__import__("sitecustomize")

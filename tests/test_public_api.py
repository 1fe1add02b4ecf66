"""The public face: adding or removing a name is a decision, so the list stands here once more."""

from __future__ import annotations

import importlib
import inspect
import pickle
import subprocess
import sys

import pytest
from check_imports import public_modules

import agentid

PUBLIC = [
    "AccessDeniedError",
    "Agent",
    "AgentId",
    "Approval",
    "ApprovalRequest",
    "AuditLog",
    "Authority",
    "Error",
    "Guard",
    "ObserveOnlyGuard",
    "Permission",
    "Policy",
    "Resource",
    "TerminalApprover",
    "TrustAnchor",
    "TrustAnchors",
    "__version__",
    "all_of",
    "any_of",
    "at_least",
    "at_most",
    "between",
    "contains",
    "ends_with",
    "exactly",
    "matches_resource",
    "none_of",
    "one_of",
    "propagate",
    "requires",
    "starts_with",
    "subset_of",
    "verify_audit_log",
]


def test_the_public_names_are_these():
    assert PUBLIC == agentid.__all__


def test_dir_shows_the_public_names_and_nothing_else():
    """Also after some were loaded: what they were loaded from does not show."""
    for name in PUBLIC:
        getattr(agentid, name)

    assert sorted(PUBLIC) == dir(agentid)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_each_public_name_loads_explains_itself_and_stays_the_same(name):
    value = getattr(agentid, name)
    documentation = inspect.getdoc(value) or ""

    assert name == value.__name__
    assert documentation.splitlines()[0].strip()
    assert value is getattr(agentid, name)
    assert value is pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_each_public_method_explains_itself(name):
    value = getattr(agentid, name)
    members = vars(value).items() if inspect.isclass(value) else ()
    silent = [
        key
        for key, member in members
        if not key.startswith("_")
        and (callable(member) or isinstance(member, property | classmethod | staticmethod))
        and not inspect.getdoc(getattr(value, key))
    ]

    assert [] == silent


def test_a_star_import_gives_the_public_names():
    """In a process of its own, where nothing was loaded before."""
    script = "from agentid import *; print(*sorted(n for n in dir() if not n.startswith('__') or n == '__version__'))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)

    assert sorted(PUBLIC) == done.stdout.split()


@pytest.mark.parametrize("name", ["Gaurd", "guards", "annotations_", "_HOMES", "AuditLogs", "__wrapped__"])
def test_an_unknown_name_is_an_attribute_error(name):
    """So that `hasattr`, `from agentid import …` and every tool that looks around work as with any module."""
    with pytest.raises(AttributeError, match=f"module 'agentid' has no attribute '{name}'"):
        getattr(agentid, name)
    with pytest.raises(ImportError):
        exec(f"from agentid import {name}", {})


def test_a_submodule_can_be_imported_by_its_name():
    assert agentid.errors is importlib.import_module("agentid.errors")


@pytest.mark.parametrize("module", [name for name in public_modules() if name != "agentid.__main__"])
def test_what_a_module_says_it_offers_is_there(module):
    loaded = importlib.import_module(module)
    offered = getattr(loaded, "__all__", [])

    assert [] == [name for name in offered if not hasattr(loaded, name)]
    assert len(set(offered)) == len(offered)
    assert (loaded.__doc__ or "").strip()


def test_the_types_of_the_package_are_published():
    from pathlib import Path

    assert (Path(agentid.__file__).parent / "py.typed").is_file()

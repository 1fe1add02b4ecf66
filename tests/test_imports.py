"""`import agentid` costs a program almost nothing and does nothing to it."""

from __future__ import annotations

import pytest
from check_imports import heavy, probe, public_modules


@pytest.fixture(scope="module")
def seen():
    return probe("agentid")


def test_importing_agentid_loads_no_sdk_no_crypto_and_no_framework(seen):
    """What is heavy is loaded when it is first used."""
    assert [] == heavy(seen["modules"])


def test_importing_agentid_starts_no_thread(seen):
    assert 0 == seen["threads"]


def test_importing_agentid_writes_no_file_and_warns_of_nothing(seen):
    assert [] == seen["files"]
    assert "" == seen["printed"]


def test_the_list_of_public_modules_is_found_and_has_no_private_one():
    modules = public_modules()

    assert {"agentid", "agentid.errors"} <= set(modules)
    assert [] == [name for name in modules if "._" in name]

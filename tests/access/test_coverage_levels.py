"""Which libraries are enforced, seen only, or invisible, and the page that says so."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from agentid.access import coverage as covering
from agentid.access.coverage import coverage, matrix
from agentid.access.installation import LIBRARIES
from agentid.access.known_libraries import KNOWN
from agentid.access.library import Library

ROOT = Path(__file__).parents[2]


def of(name):
    [found] = [one for one in matrix() if one.name == name]
    return found


@pytest.fixture
def wrapped(monkeypatch):
    """Let a library have a file here, and none but one of Python's own besides."""
    monkeypatch.setattr(covering, "LIBRARIES", ("web.urllib_request",))

    def wrap(name, distribution, limits="", module="no_such_module"):
        library = Library(name, module, name, lambda *_: (), distribution=distribution, limits=limits)
        real = importlib.import_module
        fake = type(sys)("fake")
        fake.LIBRARY = library
        monkeypatch.setattr(covering, "LIBRARIES", (*covering.LIBRARIES, name))
        monkeypatch.setattr(
            covering.importlib, "import_module", lambda at: fake if at == f"agentid.access.{name}" else real(at)
        )

    return wrap


@pytest.fixture
def tripwire(monkeypatch):
    """Say whether there is a tripwire."""
    real = covering.find_spec
    return lambda there: monkeypatch.setattr(
        covering, "find_spec", lambda name: (name if there else None) if name == covering._TRIPWIRE else real(name)
    )


def test_the_page_has_the_matrix_of_now():
    """`python tools/coverage_page.py` writes it."""
    script = (
        "import sys; sys.path.insert(0, 'tools'); import coverage_page as c; t = c.PAGE.read_text('utf-8'); "
        "sys.exit(c.update(t) != t)"
    )

    assert 0 == subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode


def test_every_library_with_a_file_is_enforced_and_says_what_is_not():
    names = {importlib.import_module(f"agentid.access.{name}").LIBRARY.name for name in LIBRARIES}

    assert names <= {one.name for one in matrix() if one.level == "enforced"}


def test_a_library_that_gets_a_file_is_enforced_whatever_the_table_says(wrapped):
    assert "invisible" == of("duckdb").level
    wrapped("duckdb", "duckdb", limits="what it does by itself")

    assert ("enforced", "except what it does by itself") == (of("duckdb").level, of("duckdb").why)
    assert not of("duckdb").installed
    assert "duckdb" in {one.name for one in coverage()}


def test_a_library_is_enforced_by_the_one_that_it_stands_on(wrapped):
    assert "enforced" != of("elasticsearch").level
    wrapped("urllib3", "urllib3")

    assert ("enforced", "by urllib3, which it stands on") == (of("elasticsearch").level, of("elasticsearch").why)
    assert "elasticsearch" not in {one.name for one in coverage()}


def test_without_a_tripwire_nothing_is_seen(tripwire):
    tripwire(True)
    assert ("seen only", True) == (
        of("pymongo").level,
        of("pymongo").why.endswith("; seen: the host, and not what is asked of it"),
    )
    assert "invisible" == of("duckdb").level
    tripwire(False)
    assert "invisible" == of("pymongo").level
    assert "no tripwire" in of("pymongo").why


def test_what_is_not_installed_is_not_spoken_of_unless_it_could_be_enforced():
    found = coverage()

    assert {one.name for one in found if one.installed} <= {one.name for one in matrix()}
    assert all(one.installed for one in found if one.level == "invisible")


def test_a_module_without_metadata_is_there_all_the_same(monkeypatch, tmp_path):
    (tmp_path / "duckdb.py").write_text("raise SystemExit\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert (True, "") == (of("duckdb").installed, of("duckdb").version)


def test_the_table_says_each_library_once_and_why():
    assert len(KNOWN) == len({one.distribution for one in KNOWN}) == len({one.name for one in KNOWN})
    assert all(one.why and not one.why.endswith(".") for one in KNOWN)
    wanted = (
        "duckdb pyarrow polars pandas asyncpg pymongo chromadb qdrant-client lancedb grpcio curl_cffi pycurl psycopg2 "
        "mysqlclient pyodbc oracledb cx_Oracle aiomysql asyncmy h5py rasterio"
    )
    assert set(wanted.split()) <= {one.distribution for one in KNOWN}

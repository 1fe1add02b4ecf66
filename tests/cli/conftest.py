"""Commands run in an empty folder, in an environment that changes nothing."""

from __future__ import annotations

import os

import pytest
from access.http_server import http  # noqa: F401 -- a fixture
from command_line import Ran

from agentid.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder: empty, and nothing above it is a configuration."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "AGENTID_")) or name in {"NO_COLOR", "FORCE_COLOR"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def run(capsys):
    """Run a command in this process."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def program(folder, http):  # noqa: F811 -- the fixture
    """Write a program; `get` in it makes a request and gives what came, or the error's class."""

    def write(text, name="main.py"):
        prelude = f"""
import sys, urllib.request
def get(path):
    try:
        with urllib.request.urlopen({http.url!r} + path) as response:
            return response.read().decode()
    except Exception as error:
        return type(error).__name__
"""
        (folder / name).write_text(prelude + text, encoding="utf-8")
        return name

    return write

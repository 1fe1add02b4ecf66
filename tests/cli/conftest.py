"""Commands run in an empty folder, in an environment that changes nothing."""

from __future__ import annotations

import os

import pytest
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

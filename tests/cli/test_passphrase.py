"""Encrypted agent files on the command line: the passphrase is typed or in the environment, never an argument."""

from __future__ import annotations

import json
import os

import pytest
from command_line import agentid, on_terminal
from systems import needs_posix

from agentid import Agent
from agentid.cli import passphrase as passphrase_module

PASSPHRASE = "correct horse battery staple"
ISSUE = ("identity", "issue", "bot", "--allow", "read:a/*")


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setenv("AGENTID_PASSPHRASE", PASSPHRASE)


@pytest.fixture
def file(folder, run, known, monkeypatch):
    """An encrypted agent; the passphrase is not in the environment any more."""
    assert 0 == run(*ISSUE, "--encrypt").code
    monkeypatch.delenv("AGENTID_PASSPHRASE")
    return folder / ".agentid" / "agents" / "bot.json"


# --- in a pipe --------------------------------------------------------------------------------------


def test_in_a_pipe_the_passphrase_is_in_the_environment(file, run, monkeypatch):
    assert "ENCRYPTED" in json.loads(file.read_text())["key"]
    assert Agent.load(file, passphrase=PASSPHRASE)
    monkeypatch.setenv("AGENTID_PASSPHRASE", PASSPHRASE)
    for command in (("show", file), ("verify", file), ("delegate", file, "helper", "--allow", "read:a/x")):
        ran = run("identity", *command)
        assert (0, "") == (ran.code, ran.err), command
        assert PASSPHRASE not in ran.out


def test_without_one_nothing_is_issued_or_read(folder, file, run):
    for command in (("show", file), ("verify", file), ("delegate", file, "helper"), (*ISSUE[1:], "--encrypt")):
        ran = run("identity", *command)
        assert (2, "") == (ran.code, ran.out)
        assert "there is no passphrase: there is no terminal to ask on. Set AGENTID_PASSPHRASE" in ran.err
    assert [file] == list(folder.rglob("*.json"))


@pytest.mark.parametrize("wrong", ["another-one", PASSPHRASE + "\n"])
def test_a_wrong_one_is_refused(file, run, monkeypatch, wrong):
    monkeypatch.setenv("AGENTID_PASSPHRASE", wrong)
    for command in ("show", "verify"):
        ran = run("identity", command, file)
        assert (2, "") == (ran.code, ran.out)
        assert "the passphrase is not that of its key" in ran.err
        assert wrong.strip() not in ran.err


def test_an_empty_one_is_refused_and_issues_nothing(folder, run, monkeypatch):
    """Set to nothing is not the same as not set."""
    monkeypatch.setenv("AGENTID_PASSPHRASE", "")
    ran = run(*ISSUE, "--encrypt")

    assert 2 == ran.code
    assert "The passphrase was refused" in ran.err
    assert [] == list(folder.rglob("*.json"))


def test_a_file_that_is_not_encrypted_needs_none_and_ignores_what_is_set(folder, run, known):
    assert 0 == run(*ISSUE).code
    assert 0 == run("identity", "verify", folder / ".agentid" / "agents" / "bot.json").code
    assert "BEGIN PRIVATE KEY" in (folder / ".agentid" / "agents" / "bot.json").read_text()


def test_a_passphrase_of_any_bytes_is_taken(folder, run, monkeypatch):
    """As the system gives it, whatever the encoding is."""
    monkeypatch.setenv("AGENTID_PASSPHRASE", os.fsdecode(b"p\xe4ss"))
    assert 0 == run(*ISSUE, "--encrypt").code

    assert Agent.load(folder / ".agentid" / "agents" / "bot.json", passphrase=b"p\xe4ss")


def test_a_sub_agent_may_be_encrypted_as_well(folder, run, known):
    assert 0 == run(*ISSUE, "--encrypt").code
    parent = folder / ".agentid" / "agents" / "bot.json"
    assert 0 == run("identity", "delegate", parent, "helper", "--allow", "read:a/x", "--encrypt").code

    assert Agent.load(parent.with_name("bot.helper.json"), passphrase=PASSPHRASE)


def test_a_sub_agent_of_an_encrypted_file_is_encrypted_with_the_same_passphrase(file, run, monkeypatch):
    """Nobody would expect that what was handed on lies there for everybody to use."""
    monkeypatch.setenv("AGENTID_PASSPHRASE", PASSPHRASE)
    ran = run("identity", "delegate", file, "helper", "--allow", "read:a/x")
    child = file.with_name("bot.helper.json")

    assert ran.out.endswith(f"saved to {child}, encrypted with the passphrase of {file}\n")
    assert Agent.load(child, passphrase=PASSPHRASE)
    assert json.loads(run("identity", "delegate", child, "one", "--json").out)["encrypted"]


def test_a_sub_agent_is_left_unencrypted_where_somebody_says_so(file, run, monkeypatch):
    monkeypatch.setenv("AGENTID_PASSPHRASE", PASSPHRASE)
    ran = run("identity", "delegate", file, "helper", "--no-encrypt")
    child = file.with_name("bot.helper.json")

    assert ran.out.endswith(f"saved to {child}, not encrypted\n")
    assert Agent.load(child)
    assert not json.loads(run("identity", "delegate", child, "one", "--json").out)["encrypted"]
    both = run("identity", "delegate", file, "two", "--encrypt", "--no-encrypt")
    assert (2, "") == (both.code, both.out)


def test_an_encrypted_file_is_not_replaced_by_one_that_is_not_unless_somebody_says_so(file, run, monkeypatch):
    """Whoever has it issued again may not think of it, and the file lies where it lay."""
    monkeypatch.setenv("AGENTID_PASSPHRASE", PASSPHRASE)
    run("identity", "issue", "boss", "--allow", "read:a/*", "--out", "boss.json")
    hand_on = ("identity", "delegate", "boss.json", "helper", "--out", file)
    before = file.read_bytes()
    for command in (ISSUE, hand_on):
        ran = run(*command, "--overwrite")
        assert (2, "") == (ran.code, ran.out)
        assert "it is encrypted, and what replaces it would not be. Pass --encrypt, or --no-encrypt" in ran.err
        assert before == file.read_bytes()
        assert "there is a file already" in run(*command).err

    assert 0 == run(*ISSUE, "--overwrite", "--encrypt").code
    assert Agent.load(file, passphrase=PASSPHRASE)
    for command in (ISSUE, hand_on):
        assert 0 == run(*command, "--overwrite", "--no-encrypt").code
        assert Agent.load(file)
        assert 0 == run(*command, "--overwrite").code
        run(*ISSUE, "--overwrite", "--encrypt")


def test_no_option_takes_a_passphrase(folder, run):
    """It would stand in the history of the shell."""
    for option in ("--passphrase=x", "--encrypt=x"):
        assert 2 == run(*ISSUE, option).code
    assert [] == list(folder.rglob("*.json"))


# --- on a terminal ----------------------------------------------------------------------------------


@needs_posix
def test_on_a_terminal_it_is_asked_for_twice_and_does_not_show(folder):
    typed = PASSPHRASE.encode() + b"\n"
    ran = on_terminal(
        *ISSUE, "--encrypt", folder=folder, answers=(("new passphrase: ", typed), ("the same again: ", typed))
    )
    file = folder / ".agentid" / "agents" / "bot.json"

    assert 0 == ran.code, ran.out
    assert PASSPHRASE not in ran.out
    assert Agent.load(file, passphrase=PASSPHRASE)

    ran = on_terminal("identity", "verify", str(file), folder=folder, answers=(("passphrase: ", typed),))
    assert 0 == ran.code, ran.out
    assert "good: spiffe://localhost/agent/bot" in ran.out
    assert PASSPHRASE not in ran.out


@needs_posix
def test_a_slip_while_typing_issues_nothing(folder):
    answers = (("new passphrase: ", b"one\n"), ("the same again: ", b"two\n"))
    ran = on_terminal(*ISSUE, "--encrypt", folder=folder, answers=answers)

    assert 2 == ran.code
    assert "the passphrase was not the same twice" in ran.out
    assert [] == list(folder.rglob("*.json"))


@needs_posix
def test_nothing_typed_is_no_passphrase(folder):
    ran = on_terminal(
        *ISSUE, "--encrypt", folder=folder, answers=(("new passphrase: ", b"\n"), ("the same again: ", b"\n"))
    )
    assert 2 == ran.code
    assert "The passphrase was refused" in ran.out

    ran = on_terminal(*ISSUE, "--encrypt", folder=folder, answers=(("new passphrase: ", b"\x04"),))
    assert 2 == ran.code
    assert "nothing was typed" in ran.out


@needs_posix
def test_what_is_set_is_not_asked_for(folder):
    ran = on_terminal(*ISSUE, "--encrypt", folder=folder, AGENTID_PASSPHRASE=PASSPHRASE)

    assert 0 == ran.code, ran.out
    assert "passphrase:" not in ran.out


@pytest.mark.filterwarnings("ignore")
def test_nothing_is_typed_where_it_would_show(folder, run, monkeypatch):
    """A terminal that cannot be made silent is none."""

    def show(_prompt):
        import warnings

        warnings.warn("echo", passphrase_module.getpass.GetPassWarning, stacklevel=2)
        raise AssertionError

    monkeypatch.setattr(passphrase_module.getpass, "getpass", show)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    ran = run(*ISSUE, "--encrypt")

    assert 2 == ran.code
    assert "cannot be read unseen" in ran.err


def test_it_works_as_a_program_in_a_pipe(folder):
    ran = agentid(*ISSUE, "--encrypt", "--json", folder=folder, AGENTID_PASSPHRASE=PASSPHRASE)
    refused = agentid("identity", "verify", ".agentid/agents/bot.json", folder=folder, stdin=PASSPHRASE + "\n")

    assert 0 == ran.code
    assert 2 == refused.code
    assert PASSPHRASE not in ran.out + ran.err + refused.out + refused.err

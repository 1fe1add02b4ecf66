"""What all commands have in common: exit codes, errors of one line, and output that fits where it goes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest
from command_line import TIMEOUT, agentid, environment, on_terminal
from systems import needs_posix

COMMANDS = [
    [],
    ["coverage"],
    ["demo"],
    ["doctor"],
    ["identity"],
    ["identity", "issue"],
    ["identity", "show"],
    ["identity", "verify"],
    ["suggest"],
]


# --- help -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_explains_the_command_and_each_of_its_arguments(run, command):
    """A description, and a word of explanation behind every argument; in ASCII, which every terminal can show."""
    ran = run(*command, "--help")

    assert (0, "") == (ran.code, ran.err)
    assert ran.out.isascii()
    assert ran.out.startswith(f"usage: {' '.join(['agentid', *command])} ")
    described = ran.out.split("\n\n")[1]
    assert len(described) > 40
    for line in ran.out.splitlines():
        if line.startswith("  -"):
            assert len(line.split("  ")) > 2 or len(line) > 24, f"{line!r} explains nothing"


def test_help_names_every_command_and_the_exit_codes(run):
    text = run("--help").out

    assert {"demo", "doctor", "identity"} <= set(text.split())
    assert "Exit codes: 0 good, 1 the answer is no, 2 usage or configuration" in " ".join(text.split())


@pytest.mark.parametrize("command", COMMANDS[1:], ids=" ".join)
def test_every_command_takes_json(run, command):
    if command != ["identity"]:
        assert "--json" in run(*command, "--help").out


def test_the_version_is_the_version_of_the_library(run):
    from agentid import __version__

    assert f"agentid {__version__}\n" == run("--version").out


def test_only_the_module_of_the_command_that_is_called_is_loaded(folder):
    """`agentid --help` answers at once."""
    script = "import sys; from agentid.cli import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )

    assert "'agentid.cli'" in done.stderr
    for module in ("agentid.cli.demo", "agentid.cli.identity", "opentelemetry", "jwt", "cryptography", "pydantic"):
        assert f"'{module}'" not in done.stderr


# --- mistakes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"),
        (["demmo"], "there is no command `demmo`. Did you mean `demo`?"),
        (["identity"], "required: COMMAND"),
        (["identity", "isue"], "there is no command `isue`. Did you mean `issue`?"),
        (["identity", "issue"], "required: NAME"),
        (["identity", "issue", "bot", "--alow", "read:x"], "has no option `--alow`. Did you mean `--allow`?"),
        (["identity", "issue", "bot", "--allow"], "argument --allow: expected one argument"),
        (["identity", "issue", "bot", "--ttl", "soon"], "--ttl: it takes a whole number of minutes from 1 to 1440"),
        (["doctor", "--js"], "has no option `--js`"),
        (["doctor", "x"], "takes no argument `x`"),
        (["--frobnicate"], "required: COMMAND"),
        (["doctor", "--config", "agentid.tml"], ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_that_names_the_nearest_right_word(run, arguments, said):
    ran = run(*arguments)

    if said:
        assert (2, "") == (ran.code, ran.out)
        assert said in ran.err
        assert 1 == ran.err.count("\n")
        assert ran.err.startswith("agentid: [configuration.invalid] ")
    else:
        assert 2 == ran.code
        assert "agentid.tml" in ran.out  # what is wrong with a configuration is what the doctor is for


def test_an_option_is_never_abbreviated(run):
    """What `--a` means today is something else once there is another option that begins like that."""
    assert 2 == run("identity", "issue", "bot", "--al", "read:x").code


def test_a_missing_configuration_is_exit_code_2(run):
    for command in (["identity", "issue", "bot"], ["identity", "show"], ["identity", "verify", "a.b.c"]):
        ran = run(*command, "--config", "missing.toml")

        assert (2, "") == (ran.code, ran.out)
        assert "cannot read `missing.toml`: there is no such file" in ran.err


def test_an_error_of_our_own_is_exit_code_4_and_does_not_repeat_its_text(run, monkeypatch):
    """The text of an exception may hold anything, also a secret."""

    def fail():
        raise RuntimeError("s3cret")

    monkeypatch.setattr("agentid.cli.doctor._installation", fail)
    ran = run("doctor")

    assert (4, "") == (ran.code, ran.out)
    assert "agentid: internal error (RuntimeError); set AGENTID_DEBUG=1 to see where it happened\n" == ran.err

    monkeypatch.setenv("AGENTID_DEBUG", "1")
    with pytest.raises(RuntimeError, match="s3cret"):
        run("doctor")


def test_an_interruption_is_exit_code_130_without_a_word(run, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("agentid.cli.doctor._installation", interrupt)
    ran = run("doctor")

    assert (130, "", "") == (ran.code, ran.out, ran.err)


_PIECES = [
    *("demo", "doctor", "identity", "issue", "show", "verify"),
    *("--json", "--config", "--allow", "--ask", "--ttl", "--out", "--jwks"),
    *("--", "-", "", " ", "=", "--=", "---", "..", "/", "~", "~nobody/x", "x" * 5000),
    *("\n", "\x1b[2J", "a\nb", "%2f", "é", "\udcff", "\u202e"),
    *("read:x", "read:", ":", "*", "**", "{", "}", "a.b.c", "-1", "0", "1e9", "9" * 20),
]


@pytest.mark.parametrize("seed", range(60))
def test_no_junk_on_the_command_line_gives_a_traceback_or_a_second_line(run, folder, seed):
    """Whatever the arguments are: an exit code that means something, and nothing that moves a cursor."""
    choose = random.Random(seed)
    junk = [choose.choice(_PIECES) for _ in range(choose.randint(1, 6))]
    command = choose.choice(COMMANDS[2:])
    ran = run(*command, *junk)

    assert ran.code in {0, 1, 2}, ran.err
    assert "Traceback" not in ran.err
    assert ran.err.count("\n") <= 1
    assert len(ran.err) < 2000
    assert "\x1b" not in ran.out + ran.err


# --- where output goes ------------------------------------------------------------------------------


@needs_posix
@pytest.mark.parametrize(
    "command",
    [
        ["doctor"],
        ["doctor", "--json"],
        ["demo"],
        ["demo", "--json"],
        ["audit", "show"],
        ["suggest"],
    ],
    ids=" ".join,
)
def test_a_reader_that_has_read_enough_ends_the_command_quietly(folder, tmp_path, command):
    """As shells report a broken pipe, and nothing is left behind."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    if command[0] in {"audit", "suggest"}:
        (folder / "main.py").write_text("open('other', 'w').close()")
        agentid("run", "--observe", "main.py", folder=folder)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "agentid", *command],
        cwd=folder,
        env=environment(TMPDIR=str(temporary)),
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT,
        check=False,
    )
    os.close(writing)

    assert (141, b"") == (done.returncode, done.stderr)
    assert [] == list(temporary.iterdir())


@needs_posix
def test_a_command_without_any_output_still_has_its_exit_code(folder):
    script = '"$0" -m agentid doctor >&-'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable], cwd=folder, env=environment(), stderr=subprocess.PIPE, check=False
    )

    assert (0, b"") == (done.returncode, done.stderr)


@needs_posix
def test_colour_is_for_terminals_that_want_it(folder):
    """A terminal gets colour; a pipe, a dumb terminal, and whoever sets `NO_COLOR` get none."""
    coloured = on_terminal("doctor", folder=folder)
    plain = agentid("doctor", folder=folder)

    assert "\x1b[32mok   \x1b[0m" in coloured.out
    assert "\x1b" not in plain.out
    assert "\x1b" not in on_terminal("doctor", folder=folder, NO_COLOR="1").out
    assert "\x1b" not in on_terminal("doctor", folder=folder, TERM="dumb").out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_unicode_gets_plain_signs(folder, encoding):
    """Text from outside must not stop a command because of a letter."""
    (folder / "agentid.toml").write_text('[agents.bot]\nowner = "équipe✓"\n', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "agentid", "doctor"],
        cwd=folder,
        env=environment(PYTHONIOENCODING=encoding),
        capture_output=True,
        check=False,
    )
    shown = done.stdout.decode(encoding)

    assert (0, b"") == (done.returncode, done.stderr)
    assert ("?quipe+" if encoding == "ascii" else "équipe+") in shown


def test_json_is_whole_whatever_the_output_can_show(folder):
    (folder / "agentid.toml").write_text('[agents.bot]\nowner = "équipe✓"\n', encoding="utf-8")

    for encoding in ("ascii", "utf-8"):
        ran = agentid("doctor", "--json", folder=folder, PYTHONIOENCODING=encoding)
        [found] = [finding for finding in json.loads(ran.out) if finding["what"] == "agent bot"]

        assert "0 allowed, 0 asked, owner équipe✓" == found["detail"]

"""`agentid run`: who acts, what is refused, what is recorded, and what is said at the end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from argparse import Namespace
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import agentid, environment, on_terminal
from systems import needs_fork, needs_posix

from agentid.cli.program.command import flags_of, name_of, name_of_command
from agentid.cli.run import again_of

CONFIG = """
[agents.bot]
owner = "team:support"
allow = ["read:{url}/open/**"]
ask = ["read:{url}/asked"]
"""


def shown(folder):
    """Whose decision, and which one, for each decision in the audit log."""
    done = agentid("audit", "show", "--json", folder=folder)
    records = [json.loads(line)["data"] for line in done.out.splitlines()]
    decisions = [record for record in records if record["phase"] == "decision"]
    # What the tripwire sees besides, such as a process, is not looked at here.
    web = [record for record in decisions if record["accesses"][:1] and "http:" in record["accesses"][0]["resource"]]
    return [(record["agent"]["id"], record["decision"]["effect"]) for record in web]


# --- who acts ---------------------------------------------------------------------------------------


def test_without_a_configuration_nothing_is_allowed_and_the_way_on_is_named(folder, program, http):
    done = agentid("run", program("print(get('/a'))"), folder=folder)

    assert (0, "AccessDeniedError\n") == (done.code, done.out)
    assert "nothing is allowed" in done.err
    assert "agentid run --observe" in done.err
    assert 1 == done.err.count("\n")
    assert [] == http.requests
    assert [("spiffe://localhost/agent/main", "deny")] == shown(folder)


def test_a_refusal_that_ends_the_program_is_exit_code_1(folder, program, http):
    name = program("urllib.request.urlopen('" + http.url + "/a')")
    done = agentid("run", name, folder=folder)

    assert 1 == done.code
    assert "AccessDeniedError: [access.denied] main may not `read:http://127.0.0.1" in done.err
    assert [] == http.requests


def test_observing_lets_everything_through_and_records_what_would_be_refused(folder, program, http):
    done = agentid("run", "--observe", program("print(get('/a'))"), folder=folder)

    assert (0, "hello from /a\n", "") == (done.code, done.out, done.err)
    assert [("spiffe://localhost/agent/main", "would_deny")] == shown(folder)
    assert 0 == agentid("audit", "verify", folder=folder).code


def test_the_only_configured_agent_acts_and_may_do_what_is_configured(folder, program, http):
    (folder / "agentid.toml").write_text(CONFIG.format(url=http.url))
    done = agentid("run", program("print(get('/open/a'), get('/closed'), get('/asked'))"), folder=folder)

    # Nobody can be asked where there is no terminal.
    assert (0, "hello from /open/a AccessDeniedError ApprovalRefusedError\n") == (done.code, done.out)
    assert "" == done.err
    assert ["/open/a"] == [path for _, path, _ in http.requests]


def test_of_several_agents_one_has_to_be_named(folder, program, http):
    (folder / "agentid.toml").write_text(CONFIG.format(url=http.url) + "[agents.other]\nallow = []\n")
    name = program("print(get('/open/a'))")

    unnamed = agentid("run", name, folder=folder)
    assert (2, "") == (unnamed.code, unnamed.out)
    assert "there are `bot`, `other`" in unnamed.err
    assert "--agent" in unnamed.err
    assert "`bot`" in agentid("run", "--agent", "bto", name, folder=folder).err
    assert "hello from /open/a\n" == agentid("run", "--agent", "bot", name, folder=folder).out
    assert "AccessDeniedError\n" == agentid("run", "--agent=other", name, folder=folder).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there is no program to run"),
        (("--observe",), "there is no program to run"),
        (("-m",), "there is no program to run"),
        (("--obseve", "main.py"), "`--observe`"),
        (("--agent", "bot", "main.py"), "without a configuration there is no agent `bot`"),
        (("--config", "nothing.toml", "main.py"), "nothing.toml"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(folder, arguments, said):
    done = agentid("run", *arguments, folder=folder)

    assert (2, "", 1) == (done.code, done.out, done.err.count("\n"))
    assert said in done.err


@pytest.mark.parametrize("flag", ["-I", "-E"])
def test_a_python_that_ignores_its_environment_runs_nothing(folder, program, flag):
    command = "import sys; sys.path.insert(0, sys.argv.pop(1)); from agentid.cli import main; sys.exit(main())"
    import agentid as package

    source = package.__path__[0].rpartition("/")[0]
    done = subprocess.run(
        [sys.executable, flag, "-c", command, source, "run", program("print('ran')")],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (2, "") == (done.returncode, done.stdout)
    assert "-I, -E or -S" in done.stderr


@pytest.mark.parametrize(
    ("program", "name"),
    [
        (["my agent.py"], "my-agent"),
        (["/a/b/report.zip"], "report"),
        (["/a/pack/__main__.py"], "pack"),
        (["-"], "stdin"),
        (["-m", "pack.tool", "x"], "pack.tool"),
        (["-mpack"], "pack"),
        (["-c", "pass"], "python-c"),
        (["öä.py"], "program"),
    ],
)
def test_an_agent_that_nobody_configured_is_named_after_its_program(program, name):
    assert name == name_of(program)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["/usr/bin/python3.12", "-X", "dev", "tools/load.py", "-m", "x"], "load"),
        ([b"python3", b"-Bmpack.tool"], "pack.tool"),
        (["pypy3.10"], "pypy3.10"),
        (["python", "-m"], "python"),
        (["/venv/bin/black", "."], "black"),
        ([Path("convert.sh")], "convert"),
        ("make", "make"),
        (["rm -rf \n"], "rm--rf"),
        (["x" * 500], "x" * 64),
        (["\u00f6"], ""),
        ([], ""),
        (None, ""),
        ([3], ""),
    ],
)
def test_a_child_is_named_after_what_its_command_starts(command, name):
    assert name == name_of_command(command)


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("python -m agentid run x", []),
        ("python /bin/agentid run -O", []),
        ("python -O -X dev -W error -m agentid run", ["-O", "-Xdev", "-Werror"]),
        ("python -OXdev -Bmagentid run", ["-O", "-Xdev", "-B"]),
        ("python -uB -m agentid", ["-uB"]),
        ("python --check-hash-based-pycs always -c x", ["--check-hash-based-pycs", "always"]),
        ("python", []),
    ],
)
def test_the_options_of_the_interpreter_are_kept(command, flags):
    assert flags == flags_of(command.split())


# --- threads ----------------------------------------------------------------------------------------

THREADS = {
    "thread": "t = threading.Thread(target=show); t.start(); t.join()",
    "subclass": "class T(threading.Thread):\n    run = lambda self: show()\nt = T(); t.start(); t.join()",
    "timer": "t = threading.Timer(0, show); t.start(); t.join()",
    "raw": "lock = _thread.allocate_lock(); lock.acquire()\n"
    "_thread.start_new_thread(lambda: (show(), lock.release()), ()); lock.acquire()",
    "executor": "with ThreadPoolExecutor(1) as e: e.submit(show).result()",
    "pool": "with ThreadPool(1) as p: p.apply(show)",
    "loop": "async def main():\n    await asyncio.get_running_loop().run_in_executor(None, show)\nasyncio.run(main())",
    "nobody was told": "contextvars.Context().run(show)",
    "at exit": "import atexit; atexit.register(show)",
    "after main": "threading.Timer(0.05, show).start()",
}
IMPORTS = """
import _thread, asyncio, contextvars, threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
"""


@pytest.mark.parametrize("way", THREADS)
def test_a_thread_is_the_agent_however_it_was_started(folder, program, http, way):
    text = IMPORTS + "def show(): print(get('/a'), flush=True)\n" + THREADS[way]
    done = agentid("run", program(text), folder=folder)

    assert (0, "AccessDeniedError\n") == (done.code, done.out)
    assert [] == http.requests


def test_the_audit_log_is_open_until_the_last_exit_function_also_where_multiprocessing_has_one(folder, program, http):
    (folder / "agentid.toml").write_text(CONFIG.format(url=http.url))
    text = """
import atexit
atexit.register(lambda: print(get('/open/late')))
import multiprocessing.util
print(get('/open/a'))
"""
    done = agentid("run", program(text), folder=folder)

    assert ("hello from /open/a\nhello from /open/late\n", "") == (done.out, done.err)


def test_each_task_of_an_executor_acts_as_whoever_submitted_it(folder, program):
    text = """
from concurrent.futures import ThreadPoolExecutor
from agentid import Authority, Guard
from agentid.guard import current_session

authority = Authority.create("acme.example")
guard = Guard(authority.trust)
name = lambda: current_session().agent.name
with ThreadPoolExecutor(1) as executor:
    print(executor.submit(name).result())
    with guard.acting_as(authority.issue("helper")):
        print(executor.submit(name).result())
    print(executor.submit(name).result())
"""
    assert "main\nhelper\nmain\n" == agentid("run", program(text), folder=folder).out


def test_what_the_guard_does_while_nobody_acts_stays_nobodys_in_its_threads(folder, program, http):
    """Otherwise the audit log and the approver would have to ask themselves."""
    text = """
import threading
from agentid.guard.session import NobodyActing
with NobodyActing():
    print(get('/a'))
    t = threading.Thread(target=lambda: print(get('/b'))); t.start(); t.join()
"""
    done = agentid("run", program(text), folder=folder)

    assert "hello from /a\nhello from /b\n" == done.out


# --- spans ------------------------------------------------------------------------------------------

PROVIDER = "from opentelemetry import trace; print(type(trace.get_tracer_provider()).__name__, get('/a'))"


def test_no_provider_of_spans_is_set_unless_the_environment_says_where_they_go(folder, program):
    done = agentid("run", "--observe", program(PROVIDER), folder=folder)

    assert "ProxyTracerProvider hello from /a\n" == done.out


def test_spans_go_where_the_environment_says_and_sending_them_is_not_the_agents_doing(folder, program, http):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `otlp` is not installed")
    done = agentid("run", program(PROVIDER), folder=folder, OTEL_EXPORTER_OTLP_ENDPOINT=http.url)

    assert "TracerProvider AccessDeniedError\n" == done.out
    [(method, path, body)] = http.requests
    assert ("POST", "/v1/traces") == (method, path)
    assert b"agentid.permission_denied" in body
    assert 1 == len(shown(folder))


def test_spans_that_the_program_itself_sends_on_are_not_its_doing_either(folder, program, http):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `otlp` is not installed")
    text = f"{PROVIDER}\nprint(trace.get_tracer_provider().force_flush())"
    done = agentid("run", program(text), folder=folder, OTEL_EXPORTER_OTLP_ENDPOINT=http.url)

    assert "TracerProvider AccessDeniedError\nTrue\n" == done.out
    assert ["/v1/traces"] == [path for _, path, _ in http.requests]
    assert 1 == len(shown(folder))


def test_spans_are_sent_in_a_block_of_their_own(http, monkeypatch):
    """In whatever thread: `agentid run` passes a block in which nobody acts."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `otlp` is not installed")
    from agentid.record.pipeline import Pipeline

    seen = []

    @contextmanager
    def sending():
        seen.append(len(http.requests))
        yield
        seen.append(len(http.requests))

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", http.url)
    pipeline = Pipeline("program", exporting=sending)
    pipeline.provider.get_tracer("test").start_span("x").end()
    pipeline.close()

    assert [0, 1] == seen


# --- the end ----------------------------------------------------------------------------------------


def touched(folder):
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    rows = [row for row in report["accesses"] if row["resource"].startswith("http:")]
    return [(row["action"], row["resource"], row["decision"], row["times"]) for row in rows]


def test_the_report_names_everything_that_was_touched_refused_before_allowed(folder, program, http):
    (folder / "agentid.toml").write_text(CONFIG.format(url=http.url))
    name = program("get('/open/a'); get('/open/a'); get('/closed')")
    done = agentid("run", "--report", "report.json", name, folder=folder)

    assert (0, "", "") == (done.code, done.out, done.err)
    assert [
        ("read", f"{http.url}/closed", "deny", 1),
        ("read", f"{http.url}/open/a", "allow", 2),
    ] == touched(folder)


@pytest.mark.parametrize(("text", "times"), [("pass", [])])
def test_that_python_reads_the_program_is_not_the_programs_doing(folder, text, times):
    """There is no code yet that could ask; a program that reads its own file is seen as with any other file."""
    (folder / "main.py").write_text(text)
    agentid("run", "--observe", "--report", "report.json", "main.py", folder=folder)
    rows = json.loads((folder / "report.json").read_text(encoding="utf-8"))["accesses"]

    assert times == [row["times"] for row in rows if row["resource"].endswith("main.py")]


@needs_fork
def test_the_report_has_what_children_touched(folder, program, http):
    text = """
import multiprocessing, os, subprocess
if __name__ == "__main__":
    if sys.argv[1:]:
        get('/child')
        sys.exit()
    get('/main')
    subprocess.run([sys.executable, __file__, 'child'])
    if not os.fork():
        get('/fork')
        sys.exit()
    os.wait()
    with multiprocessing.get_context('fork').Pool(1) as pool:
        pool.map(get, ['/worker'])
        pool.close()
        pool.join()
"""
    agentid("run", "--observe", "--report", "report.json", program(text), folder=folder)

    expected = [f"{http.url}/{name}" for name in ("child", "fork", "main", "worker")]
    assert [("read", url, "would_deny", 1) for url in expected] == touched(folder)
    assert 0 == agentid("audit", "verify", folder=folder).code


@needs_posix
def test_a_terminal_shows_what_was_touched_and_how_to_go_on(folder, program, http):
    name = program("get('/a'); get('/a'); get('/b')")
    done = on_terminal("run", "--observe", name, "--token", "s3cret", folder=folder, NO_COLOR="1")

    assert 0 == done.code
    assert f"""\
agentid: main made 3 accesses
  ✗ would be refused: 3 times, 2 places
    2x  read  {http.url}/a
    1x  read  {http.url}/b
Next:
  `agentid suggest --write` writes what it needs into agentid.toml: read that
  `agentid run main.py …` then enforces it
  `agentid audit show` lists each access
""" == done.out.replace("\r", "")


@needs_posix
def test_what_was_refused_stands_before_what_was_allowed_and_what_nobody_was_asked_about(folder, program, http):
    (folder / "agentid.toml").write_text(CONFIG.format(url=http.url))
    text = """
for n in range(17):
    get(f'/open/{n:02}')
for n in range(12):
    get('/closed')
get('/asked')
import ctypes
ctypes.CDLL(None)
"""
    done = on_terminal("run", program(text), folder=folder, answers=(("[y/N]", b"n\n"),), NO_COLOR="1")
    lines = done.out.replace("\r", "").splitlines()

    start = lines.index("  ✗ refused: 13 times, 2 places")
    shown = [f"     1x  read  {http.url}/open/{n:02}" for n in range(15)]
    assert [
        f"    12x  read  {http.url}/closed",
        f"     1x  read  {http.url}/asked",
        "  ✓ allowed: 17 times, 17 places",
        *shown,
        "      … and 2 more",
        "  ! seen, and nobody was asked: 1 time",
        "     1x        second door: ctypes",
        "Next:",
        "  write into agentid.toml what it may do",
        "  `agentid run --observe main.py` refuses nothing and shows all that it needs",
        "  `agentid audit show` lists each access",
    ] == lines[start + 1 :]


@needs_posix
def test_an_interrupt_is_still_one_after_the_table(folder, program):
    done = on_terminal("run", "--observe", program("get('/a')\nraise KeyboardInterrupt"), folder=folder)

    assert "would be refused" in done.out
    assert -signal.SIGINT == done.code


@needs_posix
@pytest.mark.parametrize("width", [40, 41, 60, 200])
def test_the_table_fits_the_terminal(folder, program, width):
    name = program("get('/' + 'long/' * 15 + 'end')\nfor n in range(9): get('/many')")
    done = on_terminal("run", "--observe", name, folder=folder, NO_COLOR="1", COLUMNS=str(width))
    rows = [line for line in done.out.splitlines() if "x  read" in line]

    assert 2 == len(rows)
    assert all(len(row) < width for row in rows)
    assert "/end" == rows[1][-4:]


@needs_posix
def test_the_table_is_coloured_where_colour_is_wanted_and_absent_in_a_pipe(folder, program):
    name = program("get('/a')")

    assert "\x1b[33m  ✗ would be refused: 1 time\x1b[0m" in on_terminal("run", "--observe", name, folder=folder).out
    assert "\x1b[31m  ✗ refused: 1 time\x1b[0m" in on_terminal("run", name, folder=folder).out
    assert "\x1b" not in on_terminal("run", "--observe", name, folder=folder, NO_COLOR="1").out
    assert "" == agentid("run", "--observe", name, folder=folder).err


@pytest.mark.parametrize(
    ("program", "again"),
    [
        (["a b.py"], "agentid run 'a b.py'"),
        (["a.py", "--password", "x"], "agentid run a.py …"),
        (["-m", "pack"], "agentid run -m pack"),
        (["-m", "pack", "x"], "agentid run -m pack …"),
        (["-mpack", "x"], "agentid run -mpack …"),
        (["-c", "password = 'x'"], "agentid run -c …"),
        (["-cprint()"], "agentid run -c …"),
        (["-"], "agentid run -"),
    ],
)
def test_how_to_run_it_again_is_said_without_its_arguments(program, again):
    assert again == again_of(Namespace(agent=None, config=None, program=program))


@needs_posix
def test_a_person_at_the_terminal_is_asked(folder, program, http):
    (folder / "agentid.toml").write_text(CONFIG.format(url=http.url))
    name = program("print(get('/asked'))")

    yes = on_terminal("run", name, folder=folder, answers=(("[y/N]", b"y\n"),))
    no = on_terminal("run", name, folder=folder, answers=(("[y/N]", b"n\n"),))

    assert "hello from /asked\n" in yes.out
    assert "ApprovalRefusedError\n" in no.out
    assert ["/asked"] == [path for _, path, _ in http.requests]


def test_the_program_and_not_the_agent_finds_out_where_temporary_files_go(folder, program):
    """The name of the file that Python tries it with is another each time, so that nobody could allow it."""
    text = "import tempfile\nprint(tempfile.gettempdir())\ntempfile.mkstemp()"
    done = agentid("run", "--report", "report.json", program(text), folder=folder, TMPDIR=str(folder))
    rows = json.loads((folder / "report.json").read_text(encoding="utf-8"))["accesses"]

    assert (1, f"{folder}\n") == (done.code, done.out)
    assert {("deny", f"file://{folder}/tmp")} == {
        (row["decision"], row["resource"][:-8]) for row in rows if row["reason"] != "second_door"
    }

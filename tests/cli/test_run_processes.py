"""What a program under `agentid run` starts: each process acts as an agent that gets no more than its parent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from command_line import TIMEOUT, agentid, environment
from systems import needs_fork, needs_posix

from agentid.cli.program import handoff
from agentid.identity import Authority

# Each case starts several processes. `.ci/run` runs them on every interpreter.
pytestmark = pytest.mark.slow

ME = "spiffe://localhost/agent/main"
IMPORTS = "import json, multiprocessing, os, subprocess, sys\n"
GET = "from main import get; print(get('/a'), flush=True)"

# How a child is started, and what it is called then.
WAYS = {
    "subprocess": (f"subprocess.run([sys.executable, '-c', {GET!r}])", "python-c"),
    "script": ("open('look.py', 'w').write(GET); subprocess.run([sys.executable, '-B', 'look.py', 'x'])", "look"),
    "module": ("open('look.py', 'w').write(GET); subprocess.run([sys.executable, '-Bm', 'look'])", "look"),
    "program of its own": (
        (
            "open('look.sh', 'w').write(f'#!{sys.executable}' + chr(10) + GET); os.chmod('look.sh', 0o755); "
            "subprocess.run(['./look.sh'], env={'PYTHONPATH': os.path.abspath('.') + os.pathsep + SOURCE})"
        ),
        "look",
    ),
    "environment of its own": (
        f"subprocess.run([sys.executable, '-c', {GET!r}], env={{'PYTHONPATH': SOURCE}})",
        "python-c",
    ),
    "bytes for an environment": (
        (
            f"subprocess.run([sys.executable, '-c', {GET!r}], "
            "env={b'PYTHONPATH': SOURCE.encode(), 'PYTHONHASHSEED': '0'})"
        ),
        "python-c",
    ),
    "function before it": (f"subprocess.run([sys.executable, '-c', {GET!r}], preexec_fn=os.getpid)", "main"),
    "shell": (f"os.system(sys.executable + ' -c ' + chr(34) + {GET!r} + chr(34))", "sh"),
    "shell of subprocess": (f"subprocess.run(sys.executable + ' -c ' + chr(34) + {GET!r} + chr(34), shell=True)", "sh"),
    "exec": (f"os.execv(sys.executable, [sys.executable, '-c', {GET!r}])", "python-c"),
    "exec with an environment": (
        f"os.execve(sys.executable, [sys.executable, '-c', {GET!r}], {{'PYTHONPATH': SOURCE}})",
        "python-c",
    ),
    "spawn with an environment": (
        f"os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-c', {GET!r}], {{'PYTHONPATH': SOURCE}}), 0)",
        "python-c",
    ),
    "multiprocessing": ("p = multiprocessing.get_context('spawn').Process(target=show); p.start(); p.join()", "main"),
    "forkserver": ("p = multiprocessing.get_context('forkserver').Process(target=show); p.start(); p.join()", "main"),
}


def chains(folder):
    """Of each chain in the audit log: who acted in it."""
    found = {}
    for line in agentid("audit", "show", "--json", folder=folder).out.splitlines():
        record = json.loads(line)
        if not any(access["resource"].startswith("http:") for access in record["data"]["accesses"]):
            continue  # what the tripwire sees besides, such as that a process is started
        found.setdefault(record["source"], set()).add(
            (record["data"]["agent"]["id"], record["data"]["call"]["session"])
        )
    return sorted(sorted(pairs) for pairs in found.values())


MAY = "[agents.main]\nallow = [" + ", ".join(
    f'"{action}:file:///**"' for action in ("execute", "read", "write", "edit", "delete")
)


@needs_fork
@pytest.mark.parametrize("clears", [False, True], ids=["as it was", "cleared"])
@pytest.mark.parametrize("way", WAYS)
def test_a_child_that_is_python_is_a_sub_agent_however_it_was_started(folder, program, http, way, clears):
    """Also where the program has cleared its own environment."""
    source = environment()["PYTHONPATH"]
    text = f"{IMPORTS}SOURCE, GET = {source!r}, {GET!r}\ndef show(): print(get('/a'), flush=True)\n"
    clear = "os.environ.clear(); os.environ['PYTHONPATH'] = SOURCE\n    " if clears else ""
    statement, called = WAYS[way]
    name = program(f"{text}if __name__ == '__main__':\n    {clear}{statement}\n")
    (folder / "agentid.toml").write_text(f"{MAY}]\n")
    done = agentid("run", name, folder=folder)

    assert (0, "AccessDeniedError\n") == (done.code, done.out)
    assert [] == http.requests
    assert [f"{ME}/{called}"] == [agent for pairs in chains(folder) for agent, _ in pairs]


def test_a_program_that_turns_into_another_leaves_nothing_behind(folder, program):
    text = f"""{IMPORTS}
print(os.path.dirname(os.environ["AGENTID_RUN"]), flush=True)
os.execv(sys.executable, [sys.executable, "-c", "import os; print(os.path.dirname(os.environ['AGENTID_RUN']))"])
"""
    places = agentid("run", "--observe", program(text), folder=folder).out.split()

    assert 2 == len(set(places))
    assert [] == [place for place in places if Path(place).exists()]


@needs_posix
def test_what_a_killed_process_left_is_removed_once_it_has_expired_and_nobody_needs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept, killed, others = handoff.Folder(), handoff.Folder(), Path(tempfile.mkdtemp(prefix="agentid-run-"))
    os.close(killed._lock)
    others.chmod(0o755)
    now = killed.path.stat().st_mtime

    handoff.remove_old(now + 23 * 3600)
    assert killed.path.exists()
    handoff.remove_old(now + 25 * 3600)
    assert {others, kept.path} == set(tmp_path.glob("agentid-run-*"))
    kept.release()
    assert not kept.path.exists()


def test_a_child_may_do_what_its_parent_may_and_no_more(folder, program, http):
    (folder / "agentid.toml").write_text(
        f'[agents.main]\nallow = ["read:{http.url}/open/**", "read:{http.url}/asked", "execute:file:///**"]\n'
        f'ask = ["read:{http.url}/asked"]\n'
    )
    child = "from main import get; print(get('/open/a'), get('/closed'), get('/asked'))"
    name = program(f"{IMPORTS}if __name__ == '__main__':\n    subprocess.run([sys.executable, '-c', {child!r}])\n")
    done = agentid("run", name, folder=folder)

    assert "hello from /open/a AccessDeniedError ApprovalRefusedError\n" == done.out
    assert "" == done.err
    assert 0 == agentid("audit", "verify", folder=folder).code


@needs_posix
def test_the_environment_holds_a_path_alone_and_what_is_there_is_private_and_goes(folder, program):
    text = f"""{IMPORTS}
import stat
from pathlib import Path
file = Path(os.environ["AGENTID_RUN"])
print(file.parent)
print(sorted(path.name.replace(str(os.getpid()), "PID") for path in file.parent.iterdir()))
print({{oct(stat.S_IMODE(path.stat().st_mode)) for path in file.parent.iterdir()}}, oct(file.parent.stat().st_mode))
key = json.loads(file.with_suffix(".agent").read_text())["key"]
print(key.startswith("-----BEGIN PRIVATE"), [n for n, v in os.environ.items() if "PRIVATE KEY" in v or "eyJ" in v])
"""
    done = agentid("run", "--observe", program(text), folder=folder)
    place, files, modes, key = done.out.splitlines()

    assert "['lock', 'main-PID.child.agent', 'main-PID.child.json']" == files
    assert "{'0o600'} 0o40700" == modes
    assert "True []" == key
    assert not Path(place).exists()


@needs_fork
def test_a_forked_child_acts_in_a_session_and_a_chain_of_its_own(folder, program, http):
    text = f"""{IMPORTS}
print(get('/a'), flush=True)
if not os.fork():
    print(get('/b'), flush=True)
    sys.exit()
os.wait()
"""
    done = agentid("run", program(text), folder=folder)

    assert "AccessDeniedError\nAccessDeniedError\n" == done.out
    assert [] == http.requests
    [[(first, one)], [(second, other)]] = chains(folder)
    assert ME == first == second
    assert one != other


@needs_fork
def test_a_child_that_outlives_its_parent_can_still_start_processes(folder, program, http):
    """As daemons do: the folder that children need is there until the last process that may need it ends."""
    text = f"""{IMPORTS}
if __name__ == "__main__":
    reader, writer = os.pipe()
    if os.fork():
        os.close(reader)
        sys.exit()
    os.close(writer)
    os.read(reader, 1)  # until the parent has ended, with all its files
    print(subprocess.run([sys.executable, '-c', {GET!r}], capture_output=True, text=True).stdout, end="")
    print(os.path.dirname(os.environ["AGENTID_RUN"]))
"""
    (folder / "agentid.toml").write_text(
        '[agents.main]\nallow = ["execute:file:///**", "read:file:///**", "write:file:///**", "edit:file:///**", "delete:file:///**"]\n'
    )
    done = agentid("run", program(text), folder=folder)
    what, place = done.out.splitlines()

    assert "AccessDeniedError" == what
    assert not Path(place).exists()


@needs_fork
def test_a_session_that_the_program_opened_itself_is_over_in_a_forked_child(folder, program):
    text = f"""{IMPORTS}
from agentid import Authority, Guard, requires
@requires("read:a/b")
def tool(): return "ran"
authority = Authority.create("acme.example")
with Guard(authority.trust).acting_as(authority.issue("helper", allow=["read:a/b"])):
    print(tool(), flush=True)
    if not os.fork():
        try:
            tool()
        except Exception as error:
            print(type(error).__name__, flush=True)
        os._exit(0)
    os.wait()
"""
    assert "ran\nNoActingAgentError\n" == agentid("run", program(text), folder=folder).out


# --- where it cannot be -----------------------------------------------------------------------------


@pytest.fixture
def left(folder, tmp_path):
    """Leave something for a process, and give the environment in which it finds that."""

    def leave(name=handoff.CHILD, *, depth=8, observes=False, ttl=timedelta(minutes=5), why="", **changes):
        authority = Authority.open(folder / "authority.pem", trust_domain="localhost")
        agent = authority.issue("main", allow=["execute:file:///**"], max_depth=depth, ttl=ttl)
        settings = {
            "config": "", "trust_domain": "localhost", "authority": str(folder / "authority.pem"),
            "audit": str(folder / "audit"), "observes": observes, "why": why, **changes,
        }  # fmt: skip
        place = handoff.Folder(tmp_path / "left")
        place.path.chmod(0o700)
        file = place.write(name, handoff.Settings(**settings), agent)
        return environment(AGENTID_RUN=str(file), PYTHONPATH=handoff.with_startup(environment()["PYTHONPATH"]))

    (tmp_path / "left").mkdir(mode=0o700)
    return leave


def started(surroundings, folder, text="print('ran')", *flags):
    done = subprocess.run(
        [sys.executable, *flags, "-c", text], cwd=folder, env=surroundings, capture_output=True, text=True,
        timeout=TIMEOUT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_process_that_finds_what_was_left_for_it_runs(left, folder):
    assert (0, "ran\n", "") == started(left(), folder)


SPOILED = {
    "gone": lambda file: (file.unlink(), "could not be read"),
    "folder gone": lambda file: (file.parent.rename(file.parent.parent / "elsewhere"), "is gone"),
    "no agent": lambda file: (file.with_suffix(".agent").unlink(), "could not be read"),
    "readable by others": lambda file: (file.chmod(0o644), "can read"),
    "open folder": lambda file: (file.parent.chmod(0o755), "others can get at it"),
    "not JSON": lambda file: (file.write_bytes(b"{"), "not one of this version"),
    "another version": lambda file: (file.write_bytes(b'{"new": 1}'), "not one of this version"),
    "not a setting": lambda file: (
        file.write_bytes(file.read_bytes().replace(b"false", b'"no"')), "not what it must be",
    ),
    "another authority": lambda file: ((file.parents[1] / "here" / "authority.pem").unlink(), "credential"),
    "audit log in the way": lambda file: ((file.parents[1] / "here" / "audit").write_text(""), "audit"),
}  # fmt: skip


@needs_posix
@pytest.mark.parametrize("how", SPOILED)
def test_a_process_whose_session_cannot_be_opened_does_not_start(left, folder, how):
    surroundings = left()
    _, said = SPOILED[how](Path(surroundings["AGENTID_RUN"]))
    code, out, err = started(surroundings, folder)

    assert (1, "") == (code, out)
    assert err.startswith("agentid: ")
    assert 1 == err.count("\n")
    assert said in err


def test_a_program_that_does_not_start_leaves_nothing_behind(left, folder):
    surroundings = left(handoff.PROGRAM)
    (folder / "audit").write_text("")
    code, out, err = started(surroundings, folder)

    assert (1, "", 1) == (code, out, err.count("\n"))
    assert not Path(surroundings["AGENTID_RUN"]).parent.exists()


def test_without_a_word_in_the_environment_nothing_happens(left, folder):
    surroundings = {**left(), "AGENTID_RUN": ""}

    modules = "import sys; print([n for n in sys.modules if 'agentid' in n])"

    assert (0, "[]\n", "") == started(surroundings, folder, modules)


@pytest.mark.parametrize("flag", ["-I", "-E", "-S"])
def test_a_python_that_looks_at_nothing_is_a_program_like_any_other(left, folder, flag):
    assert (0, "ran\n", "") == started(left(), folder, "print('ran')", flag)


def test_an_agent_that_may_hand_on_nothing_leaves_its_children_without_and_they_do_not_start(left, folder):
    child = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', 'print(1)']).returncode)"
    code, out, err = started(left(depth=0), folder, child)

    assert (1, "") == (code, out)
    assert "this process has no identity: it may be handed on 0 times" in err


def test_an_error_of_ours_ends_the_process_also_where_it_is_shown(left, folder):
    """What is raised while Python starts is only mentioned by Python, which then goes on."""
    surroundings = {**left(), "AGENTID_DEBUG": "1"}
    (folder / "wrapt.py").write_text("1 / 0")
    surroundings["PYTHONPATH"] = handoff.with_startup(os.pathsep.join([str(folder), surroundings["PYTHONPATH"]]))
    code, out, err = started(surroundings, folder)

    assert (1, "") == (code, out)
    assert "ZeroDivisionError: division by zero" in err
    assert err.endswith("set AGENTID_DEBUG=1 to see where it happened\n")


def test_where_it_is_only_observed_such_a_child_runs_and_says_so(left, folder):
    child = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', 'print(1)']).returncode)"
    code, out, err = started(left(depth=0, observes=True), folder, child)

    assert (0, "1\n") == (code, out)
    assert "has no identity, and is not observed" in err


@pytest.mark.parametrize(("name", "expected"), [(handoff.CHILD, (0, "ran\n")), (handoff.PROGRAM, (1, ""))])
def test_a_python_without_agentid_runs_unless_it_is_the_program_itself(left, folder, name, expected):
    """Whether another program may be started is asked of whoever starts it; what `run` was given must be guarded."""
    surroundings = left(name)
    hidden = folder / "hidden"
    hidden.mkdir()
    (hidden / "agentid.py").write_text("raise ModuleNotFoundError('none', name='agentid')\n")
    surroundings["PYTHONPATH"] = os.pathsep.join([str(handoff.STARTUP), str(hidden)])
    code, out, _ = started(surroundings, folder)

    assert expected == (code, out)


@needs_posix
def test_a_process_that_is_started_after_the_end_leaves_no_identity_behind(folder, program):
    """Its session is over, and so is what was left for children."""
    temporary = folder / "temporary"
    temporary.mkdir()
    (folder / "agentid.toml").write_text(f"{MAY}]\n")
    text = f"""{IMPORTS}
import atexit
atexit._run_exitfuncs()
try:
    print(subprocess.run(["true"]))
except Exception as error:
    print(type(error).__name__)
"""
    done = agentid("run", program(text), folder=folder, TMPDIR=str(temporary))

    assert "NoActingAgentError\n" == done.out
    assert [] == list(temporary.iterdir())

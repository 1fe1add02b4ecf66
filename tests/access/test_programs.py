"""Starting other programs: `execute` of the very file that the system would find, before anything starts."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
from contextvars import copy_context
from pathlib import Path

import pytest

from agentid.access.programs.starting import Programs
from agentid.errors import AccessDeniedError
from agentid.guard import ObserveOnlyGuard
from agentid.guard.session import NobodyActing
from tests.systems import needs_posix

pytestmark = needs_posix

PYTHON = os.path.realpath(sys.executable)
SHELL = os.path.realpath("/bin/sh")


@pytest.fixture
def program(tmp_path):
    """A script that leaves a mark when it runs."""
    script = tmp_path / "bin" / "leave-a-mark"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\necho ran >> '{tmp_path}/mark'\necho \"$0\"\n")
    script.chmod(0o755)
    return script


@pytest.fixture
def has_run(tmp_path):
    return lambda: (tmp_path / "mark").exists()


def calls(path, env):
    """Every way of Python to start one program in a process of its own."""
    name = path.name
    return {
        "run": lambda: subprocess.run([path], check=True),
        "call": lambda: subprocess.call([str(path)]),
        "check_output": lambda: subprocess.check_output(str(path)),
        "Popen of bytes": lambda: subprocess.Popen([os.fsencode(path)]).wait(),
        "executable=": lambda: subprocess.run(["something else"], executable=str(path), check=True),
        "PATH of its environment": lambda: subprocess.run([name], env=env, check=True),
        "its folder": lambda: subprocess.run([f"./{name}"], cwd=path.parent, check=True),
        "without fork": lambda: subprocess.run([str(path)], check=True, close_fds=False),
        "before it starts": lambda: subprocess.run([str(path)], check=True, preexec_fn=lambda: None),
        "asyncio": lambda: asyncio.run(_run_async(str(path))),
        "spawnv": lambda: os.spawnv(os.P_WAIT, str(path), [name]),
        "spawnl": lambda: os.spawnl(os.P_WAIT, str(path), name),
        "spawnve": lambda: os.spawnve(os.P_WAIT, str(path), [name], env),
        "spawnvpe": lambda: os.spawnvpe(os.P_WAIT, name, [name], env),
        "posix_spawn": lambda: _wait(os.posix_spawn(str(path), [name], env)),
        "posix_spawnp": lambda: _wait(os.posix_spawnp(str(path), [name], env)),
        "posix module": lambda: _wait(sys.modules["posix"].posix_spawn(str(path), [name], env)),
    }


async def _run_async(path):
    process = await asyncio.create_subprocess_exec(path)
    await process.wait()


def _wait(pid):
    return os.waitpid(pid, 0)


WAYS = tuple(calls(Path("x"), {}))


@pytest.mark.parametrize("way", WAYS)
def test_a_program_that_is_allowed_runs_and_is_recorded_once(world, program, has_run, way):
    env = {"PATH": f"{program.parent}:{os.environ['PATH']}"}

    with world.acting(f"execute:file://{program}"):
        calls(program, env)[way]()

    assert has_run()
    assert [(f"execute:file://{program}", "success")] == world.touched
    (span,) = world.spans
    assert ("execute program", "leave-a-mark") == (span.name, span.attributes["process.executable.name"])


@pytest.mark.parametrize("way", WAYS)
def test_a_program_that_is_not_allowed_never_starts(world, program, has_run, way):
    env = {"PATH": f"{program.parent}:{os.environ['PATH']}"}

    with world.acting("execute:file:///srv/**"), pytest.raises(AccessDeniedError):
        calls(program, env)[way]()

    assert not has_run()
    assert [(f"execute:file://{program}", "denied")] == world.touched


@pytest.mark.parametrize(
    "command",
    [
        lambda path: subprocess.run(path, shell=True, check=True),
        lambda path: subprocess.getoutput(path),
        lambda path: os.system(path),
        lambda path: sys.modules["posix"].system(path),
        lambda path: os.popen(path).close(),
        lambda path: asyncio.run(asyncio.create_subprocess_shell(path)),
    ],
)
def test_a_shell_command_is_the_shell(world, program, has_run, command):
    with world.acting(f"execute:file://{program}"), pytest.raises(AccessDeniedError):
        command(str(program))

    assert not has_run()
    assert [(f"execute:file://{SHELL}", "denied")] == world.touched


@pytest.mark.parametrize("name", ["execv", "execve", "execl", "execlp", "execvp", "execvpe", "posix.execv"])
def test_becoming_another_program_is_refused_before_it_happens(world, program, name):
    module = sys.modules["posix"] if "." in name else os
    path = program.name if "p" in name.removeprefix("posix.") else str(program)
    rest = ([path],) if name.split(".")[-1].startswith("execv") else (path,)
    env = ({"PATH": str(program.parent)},) if name.endswith("e") else ()
    if name in {"execlp", "execvp"}:
        path = str(program)

    with world.acting("execute:file:///srv/**"), pytest.raises(AccessDeniedError):
        getattr(module, name.split(".")[-1])(path, *rest, *env)

    assert [(f"execute:file://{program}", "denied")] == world.touched


def test_a_program_by_a_link_is_the_program(world, program, tmp_path, has_run):
    (tmp_path / "innocent").symlink_to(program)

    with world.acting(f"execute:file://{tmp_path}/innocent"), pytest.raises(AccessDeniedError):
        subprocess.run([tmp_path / "innocent"], check=True)

    assert not has_run()


@pytest.mark.parametrize(
    "reads",
    [
        lambda path: subprocess.run(["cat", path], capture_output=True, check=True).stdout,
        lambda path: subprocess.check_output(f"cat {path}", shell=True),
        lambda path: os.popen(f"cat {path}").read(),
    ],
)
def test_a_program_that_would_read_a_file_for_the_agent_never_starts(world, tmp_path, reads):
    """Python announces no file that another program opens: it is the program that is asked about."""
    (tmp_path / "secret").write_text("secret")

    with world.acting("read:crm/**"), pytest.raises(AccessDeniedError):
        reads(str(tmp_path / "secret"))

    assert ["denied"] == [record.status for record in world.records]
    assert "secret" not in str(world.records)


def test_what_is_not_there_is_not_asked_about_and_not_found(world):
    with world.acting():
        for call in (
            lambda: subprocess.run(["no-such-program"], check=False),
            lambda: subprocess.run(["/srv/no-such-program"], check=False),
            lambda: os.execvp("no-such-program", ["x"]),
            lambda: os.posix_spawnp("no-such-program", ["x"], {}),
        ):
            with pytest.raises(FileNotFoundError):
                call()
        assert 127 == os.spawnvp(os.P_WAIT, "no-such-program", ["x"])

    assert [] == world.touched


def test_a_program_that_appears_meanwhile_is_not_the_one_that_was_decided_about(world, program, tmp_path, has_run):
    before = tmp_path / "before"
    before.mkdir()
    harmless = tmp_path / "bin" / "harmless"
    harmless.symlink_to("/bin/true")

    def approver(_request):
        (before / "harmless").symlink_to(program)
        return True

    env = {"PATH": f"{before}:{program.parent}"}
    ask = [f"execute:file://{os.path.realpath('/bin/true')}"]
    with world.acting(ask=ask, guard=world.make_guard(approver=approver)):
        subprocess.run(["harmless"], env=env, check=True)

    assert not has_run()


def test_what_was_not_there_is_not_run_although_it_appears_meanwhile(world, program, tmp_path, has_run, monkeypatch):
    missing, exists = str(tmp_path / "missing"), os.path.lexists

    def lexists(path):
        found = exists(path)
        if path == missing and not found:
            os.link(program, missing)
        return found

    with world.acting(f"read:file://{program}", f"edit:file://{program}", f"write:file://{missing}"):
        for call in (
            lambda: subprocess.run([missing], check=False),
            lambda: os.posix_spawn(missing, ["x"], {}),
            lambda: os.execv(missing, ["x"]),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(os.path, "lexists", lexists)
                with pytest.raises(FileNotFoundError):
                    call()
            with NobodyActing():
                os.unlink(missing)

    assert not has_run()


def test_code_that_runs_before_the_program_starts_may_become_no_other(world, program, has_run):
    """It runs in a forked process, where nobody acts."""
    with world.acting(f"execute:file://{PYTHON}"), pytest.raises(subprocess.SubprocessError):
        subprocess.run([PYTHON, "-c", ""], check=True, preexec_fn=lambda: os.execv(str(program), ["x"]))

    assert not has_run()


def test_a_program_that_is_started_around_the_wrappers_while_another_one_starts_is_a_second_door(world, program):
    """`Popen` stands for the program that it announces, and not for what a path of the agent's starts meanwhile."""
    spawn = os.posix_spawn
    while hasattr(spawn, "__wrapped__"):
        spawn = spawn.__wrapped__

    class Path:
        def __fspath__(self):
            os.waitpid(spawn("/bin/true", ["true"], {}), 0)
            return str(program)

    with world.acting(f"execute:file://{program}"):
        subprocess.run(["x"], executable=Path(), check=False)

    doors = [[*map(str, record.accesses)] for record in world.records if record.reason == "second_door"]
    assert [f"execute:file://{os.path.realpath('/bin/true')}"] in doors


def test_files_that_a_program_is_given_open_are_asked_about(world, program, tmp_path, has_run):
    secret = tmp_path / "secret"
    secret.write_text("s")
    opens = [(os.POSIX_SPAWN_OPEN, 0, str(secret), os.O_RDONLY, 0)]

    with world.acting(f"execute:file://{program}"), pytest.raises(AccessDeniedError):
        os.posix_spawn(str(program), ["x"], {}, file_actions=opens)

    assert not has_run()


def test_a_terminal_of_its_own_is_no_way_around(world, program, has_run):
    import pty

    with world.acting("execute:file:///srv/**"), pytest.raises(AccessDeniedError):
        pty.spawn([str(program)])

    assert not has_run()


def test_what_reads_for_a_terminal_is_asked_about_its_own_doing(world, program):
    import pty

    denied = []

    def reads(descriptor):
        try:
            os.system("true")
        except AccessDeniedError as error:
            denied.append(error)
        return os.read(descriptor, 1024)

    with world.acting(f"execute:file://{program}"):
        pty.spawn([str(program)], reads)

    assert denied


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_of_multiprocessing_is_the_interpreter(world, method):
    with world.acting("execute:file:///srv/**"), pytest.raises(AccessDeniedError):
        multiprocessing.get_context(method).Process(target=print).start()

    assert [(f"execute:file://{PYTHON}", "denied")] == world.touched


def test_a_process_of_a_server_that_was_started_before_is_the_interpreter_too(world):
    context = multiprocessing.get_context("forkserver")
    first = context.Process(target=print)
    first.start()
    first.join()

    with world.acting("execute:file:///srv/**"), pytest.raises(AccessDeniedError):
        context.Process(target=print).start()


@pytest.mark.parametrize(
    ("application", "command"),
    [("{}", "x"), ("{}", None), (None, '"{}" a b'), (None, "{} a b"), (None, "{}")],
)
def test_a_program_of_windows_is_the_first_word_of_its_command(world, installed, program, application, command):
    """Here, without Windows: what would be called there."""
    path, started = str(program), []
    given = (application and application.format(path), command and command.format(path))

    def start():
        return Programs(installed).creates(lambda *args: started.append(args), None, (*given, None), {})

    with world.acting("execute:file:///srv/other/*"), pytest.raises(AccessDeniedError):
        start()
    assert [] == started
    with world.acting(f"execute:file://{path}"):
        start()

    assert [(*given, None)] == started


@pytest.mark.parametrize("command", ["program a b", '"program"', "", " ", "/srv/a program"])
def test_a_program_that_only_windows_can_look_up_is_refused(world, installed, command):
    with world.acting("execute:file:///**"), pytest.raises(AccessDeniedError):
        Programs(installed).creates(pytest.fail, None, (None, command, None), {})

    assert [("denied",)] == world.touched


def test_outside_of_a_session_nothing_is_decided(world, program, has_run):
    copy_context().run(subprocess.run, [program], check=True)

    assert has_run()
    assert ([], ()) == (world.touched, world.spans)


def test_a_guard_that_only_observes_lets_it_through(world, program, has_run):
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        subprocess.run([program], check=True)

    assert has_run()
    assert ["would_deny"] == [record.effect for record in world.records]


def test_no_argument_and_no_variable_of_a_program_is_recorded(world, program):
    with world.acting(f"execute:file://{program}"):
        subprocess.run([program, "secret-1"], env={"TOKEN": "secret-2"}, check=True)

    assert "secret" not in repr([world.spans[0].to_json(), world.records, world.audit.lines])

"""`agentid run --observe PROGRAM` is `python PROGRAM`: output, errors, tracebacks and exit codes, byte for byte."""

from __future__ import annotations

import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command_line import TIMEOUT, environment
from systems import needs_fork, needs_posix

# Each case starts several processes. `.ci/run` runs them on every interpreter.
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    """A program: its files, how it is called, and what it reads."""

    name: str
    main: str
    files: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("main.py",)
    flags: tuple[str, ...] = ()
    stdin: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    marks: tuple = ()


SPAWN = """
import multiprocessing, os

class Point:
    def __init__(self, x):
        self.x = x

def double(point):
    return Point(point.x * 2)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    with context.Pool(2) as pool:
        print([point.x for point in pool.map(double, [Point(1), Point(2), Point(3)])])
"""

# The command itself is Python, too, and has the same `sitecustomize`.
NOT_OURS = "import sys\n'agentid' in sys.orig_argv or "

TEMPORARY = (
    "import os; os.makedirs('t', exist_ok=True); os.environ['TMPDIR'] = 't'\n"
    "import tempfile; print(tempfile.gettempdir()[-2:])"
)
CASES = [
    Case("arguments", "import sys; print(sys.argv)", program=("main.py", "--observe", "-m", "x", "--", "-c", "")),
    Case("names of main", "print(__name__, __file__, __spec__, __cached__, __package__, __doc__, __loader__.name)"),
    Case("main is a module", "import sys; print(sys.modules['__main__'].__dict__ is globals(), sorted(globals()))"),
    Case("builtins", "import builtins; print(__builtins__ is builtins)"),
    Case("file as given", "print(__file__); import os; os.chdir('/'); print(__file__)", program=("./main.py",)),
    Case("path of the script", "import sys; print(sys.path[0]); import helper", files={"helper.py": "print('helped')"}),
    Case("no trace in the path", "import sys; print([p for p in sys.path if 'startup' in p])"),
    Case("no sitecustomize", "import sys; print('sitecustomize' in sys.modules)"),
    Case(
        "sitecustomize of one's own",
        "import sys; print(sys.modules['sitecustomize'].MINE)",
        files={"own/sitecustomize.py": f"{NOT_OURS}print('customised')\nMINE = 7\n"},
        environment={"PYTHONPATH": "own"},
    ),
    Case(
        "sitecustomize that fails",
        "print('still here')",
        files={"own/sitecustomize.py": f"{NOT_OURS}1 / 0\n"},
        environment={"PYTHONPATH": "own"},
    ),
    Case("a folder", "", files={"app/__main__.py": "import sys; print(sys.argv, __file__, sys.path[0], __package__)"},
         program=("app", "x")),
    Case("a zip", "", program=("app.zip", "x")),
    Case("a module", "", files={"tool.py": "import sys; print(sys.argv, __name__, __spec__.name, sys.path[0])"},
         program=("-m", "tool", "-m", "--observe")),
    Case("a module in one word", "", files={"tool.py": "import sys; print(sys.argv)"}, program=("-mtool", "x")),
    Case("a package", "", files={"pack/__init__.py": "", "pack/__main__.py": "from . import other; print(__package__)",
                                 "pack/other.py": "print('other')"}, program=("-m", "pack")),
    Case("no such module", "", program=("-m", "nothing_of_that_name")),
    Case("a package that cannot run", "", files={"pack/__init__.py": ""}, program=("-m", "pack")),
    Case("code", "", program=("-c", "import sys; print(sys.argv, sys.path[0]); 1 / 0", "x", "-c", "--observe")),
    Case("code in one word", "", program=("-cprint(7)", "x")),
    Case("the standard input", "", program=("-", "a", "-b"), stdin="import sys; print(sys.argv, __name__)"),
    Case("no such script", "", program=("nothing.py",)),
    Case("reads", "import sys; print(sys.stdin.read().upper())", stdin="some\ntext\n"),
    Case("exit 0", "raise SystemExit"),
    Case("exit 3", "import sys; sys.exit(3)"),
    Case("exit 256", "import sys; sys.exit(256)"),
    Case("exit with text", "import sys; sys.exit('that went wrong')"),
    Case("exit with something", "import sys; sys.exit(['a', 1])"),
    Case("exit at once", "import os; print('x', flush=True); os._exit(5)"),
    Case("an exception", "def f():\n    raise ValueError('odd')\n\nf()\n"),
    Case("a chain", "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e\n"),
    Case("a context", "try:\n    1 / 0\nexcept ZeroDivisionError:\n    {}['k']\n"),
    Case("a group", "import sys\nif sys.version_info >= (3, 11):\n    raise ExceptionGroup('g', [ValueError(1)])\n"),
    Case("a syntax error", "print('x')\nif True print(1)\n"),
    Case("a syntax error in a module", "import bad", files={"bad.py": "def f(:\n"}),
    Case("an import that fails", "import nothing_of_that_name"),
    Case("a hook for exceptions", "import sys\nsys.excepthook = lambda k, v, t: print('hook', k.__name__, "
         "t.tb_frame.f_code.co_filename, t.tb_next)\n1 / 0\n"),
    Case("a thread that fails", "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='t')\n"
         "t.start(); t.join()\n"),
    Case("a task that fails", "from concurrent.futures import ThreadPoolExecutor\n"
         "with ThreadPoolExecutor(1) as e:\n    e.submit(lambda: 1 / 0).result()\n"),
    Case("a task in a loop that fails", "import asyncio\nasync def main():\n"
         "    await asyncio.to_thread(lambda: 1 / 0)\nasyncio.run(main())\n"),
    Case("order at the end", "import atexit, threading, weakref\nclass A: pass\na = A()\n"
         "weakref.finalize(a, print, 'finalised')\natexit.register(print, 'exit')\nmain = threading.main_thread()\n"
         "threading.Thread(target=lambda: print(main.join(), 'thread')).start()\nprint('main')\n"),
    Case("an exit function that fails", "import atexit\natexit.register(int, 'x')\n"),
    Case("interrupted", "raise KeyboardInterrupt"),
    Case("ended by a signal", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)", marks=(needs_posix,)),
    Case("a signal of its own", "import os, signal\nsignal.signal(signal.SIGUSR1, lambda *_: print('got it'))\n"
         "os.kill(os.getpid(), signal.SIGUSR1)\n", marks=(needs_posix,)),
    Case("signal handlers", "import signal\nprint(*[signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)])"),
    Case("source", "import inspect, linecache\ndef f():\n    return 1\nprint(inspect.getsource(f), "
         "linecache.getline(__file__, 2))"),
    Case("encoding", "# -*- coding: latin-1 -*-\nprint(ascii('é'))\n"),
    Case("pickling", "import pickle\nclass A: x = 1\nprint(type(pickle.loads(pickle.dumps(A()))) is A, "
         "pickle.dumps(A(), 0))"),
    Case("flags", "import sys; print(sys.flags, sys._xoptions, sys.warnoptions)\nassert False\n",
         flags=("-O", "-X", "dev", "-W", "error::ImportWarning", "-uB")),
    Case("warnings as errors", "import warnings; print(len(warnings.filters))\nwarnings.warn('x')\n",
         flags=("-W", "error")),
    Case("warning filters", "import warnings; print(warnings.filters)\nwarnings.warn('x', DeprecationWarning)\n"),
    Case("files of Python itself", "import _pyio, io\nprint(_pyio.FileIO, issubclass(_pyio.FileIO, io.IOBase))"),
    Case("temporary folder", TEMPORARY),
    Case("temporary folder of a child",
         f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {TEMPORARY!r}])"),
    Case("logging", "import logging; print(logging.root.handlers, logging.root.level); logging.warning('x')"),
    Case("threads", "import threading; print(threading.active_count(), threading.current_thread().name)"),
    Case("event loop", "import asyncio\nasync def f():\n    return await asyncio.get_running_loop().run_in_executor("
         "None, int, '7')\nprint(asyncio.run(f()))"),
    Case("thread variables", "import contextvars, threading\nv = contextvars.ContextVar('v')\nv.set(1)\n"
         "t = threading.Thread(target=lambda: print(v.get('none')))\nt.start(); t.join()\n"),
    Case("executor variables", "import contextvars\nfrom concurrent.futures import ThreadPoolExecutor\n"
         "v = contextvars.ContextVar('v')\n"
         "with ThreadPoolExecutor(1, initializer=v.set, initargs=(5,)) as e:\n"
         "    print(e.submit(v.get, 'none').result(), list(e.map(str, [1, 2])))\n"),
    Case("raw threads", "import _thread\ndone = _thread.allocate_lock(); done.acquire()\n"
         "def f(a, b=0):\n    print(a, b); done.release()\n_thread.start_new_thread(f, (1,), {'b': 2})\n"
         "done.acquire()\n"),
    Case("thread pool", "from multiprocessing.pool import ThreadPool\n"
         "with ThreadPool(2) as p: print(p.map(abs, [-1, 2]))"),
    Case("spawn", SPAWN.format(method="spawn")),
    Case("fork", SPAWN.format(method="fork"), marks=(needs_fork,)),
    Case("forkserver", SPAWN.format(method="forkserver"), marks=(needs_fork,)),
    Case("os.fork", "import os, sys\npid = os.fork()\nif not pid:\n    sys.exit(4)\n"
         "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n", marks=(needs_fork,)),
    Case("child", "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'print(7); 1 / 0'], "
         "capture_output=True, text=True))\n"),
    Case("child with flags", "import subprocess, sys\nfor flag in '-I', '-E', '-S':\n"
         "    print(subprocess.run([sys.executable, flag, '-c', 'print(7)'], capture_output=True).stdout)\n"),
    Case("closed standard error", "import sys\nsys.stderr.close()\nsys.__stderr__ = None\nprint('x')\n"),
]  # fmt: skip


def prepare(case, folder):
    (folder / "main.py").write_bytes(case.main.encode("latin-1" if "latin-1" in case.main else "utf-8"))
    for name, text in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        archive.writestr("__main__.py", "import sys; print(sys.argv, __file__, sys.path[0])")


def ran(command, case, folder):
    base = environment(PYTHONDONTWRITEBYTECODE="1")
    own = case.environment.get("PYTHONPATH")
    if own:
        base["PYTHONPATH"] = f"{folder / own}:{base['PYTHONPATH']}"
    done = subprocess.run(
        command, cwd=folder, env=base, input=case.stdin.encode(), capture_output=True, timeout=TIMEOUT, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=case.marks) for case in CASES])
def test_a_program_behaves_as_with_plain_python(case, folder):
    """What it prints, what it says on the standard error, how it ends."""
    prepare(case, folder)
    python = [sys.executable, *case.flags]

    plain = ran([*python, *case.program], case, folder)
    observed = ran([*python, "-m", "agentid", "run", "--observe", *case.program], case, folder)

    assert plain == observed


@needs_posix
def test_an_interrupt_ends_the_program_as_it_ends_python(folder):
    """By the signal itself, after its exit functions, so that a shell knows that it was interrupted."""
    (folder / "main.py").write_text(
        "import atexit, time\natexit.register(print, 'exit')\nprint('begun', flush=True)\ntime.sleep(50)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "agentid", "run", "--observe", "main.py"],
        cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert "begun\n" == running.stdout.readline()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=TIMEOUT)

    assert -signal.SIGINT == running.returncode
    assert "exit\n" == out
    assert err.endswith("KeyboardInterrupt\n")
    assert "agentid" not in err.replace(str(Path(folder)), "")

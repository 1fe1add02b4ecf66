"""What users write with this library type-checks strictly, and what they should not write does not."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(str(path) for path in (ROOT / "tests" / "typing").glob("*.py") if path.name != "conftest.py")


def check(*command):
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr


def needs(checker):
    return pytest.mark.skipif(
        importlib.util.find_spec(checker) is None,
        reason=f"{checker} belongs to `make check`, which runs on one Python: it is not installed here",
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@needs("mypy")
def test_code_of_users_passes_mypy_strict(tmp_path):
    check(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path), *FILES)


@pytest.mark.slow
@pytest.mark.timeout(300)
@needs("pyright")
def test_code_of_users_passes_pyright_strict():
    check(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *FILES)


def test_the_package_says_that_it_is_typed():
    import agentid

    assert (Path(agentid.__file__).parent / "py.typed").is_file()


def test_there_is_code_to_check():
    assert {"guards.py", "mistakes.py", "tools.py"} <= {Path(file).name for file in FILES}

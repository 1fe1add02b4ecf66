"""Each example runs as it is, in an empty folder, and prints what it should."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import environment

EXAMPLES = Path(__file__).parents[1] / "examples"

PRINTED = {
    "approvals.py": """\
sent 40 to de-17
Grace is asked about 400 for bank/transfers/de-17
sent 400 to de-17
Grace is asked about 900 for bank/transfers/de-17
approval_missing
constraint_violation
scope_missing
""",
    "delegation.py": """\
handed on: customer c-42
another customer: refused: access.denied
stolen, without its key: refused: credential.invalid
widened: refused: delegation.refused: `read:crm/**` is not covered by what is held, `read:crm/customers/*`
running: customer c-42
its parent revoked: refused: credential.revoked
""",
    "frameworks.py": """\
get_customer('c-42') -> customer c-42
get_customer('x-1') -> not permitted: read crm/customers/x-1
get_customer('../secrets') -> not permitted: the arguments name no resource
""",
    "quickstart.py": """\
allow read crm/customers/c-42
{'id': 'c-42', 'name': 'Ada'}
deny delete crm/customers/c-42
not permitted: delete crm/customers/c-42
""",
}


def test_every_example_is_here():
    assert sorted(PRINTED) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_an_example_prints_what_it_should(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert PRINTED[name] == done.stdout
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_an_example_says_in_one_line_what_it_shows_and_uses_the_public_names_alone(name):
    tree = ast.parse((EXAMPLES / name).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert 1 == len((ast.get_docstring(tree) or "").splitlines())
    assert {module for module in imported if module.startswith("agentid")} <= {"agentid", "agentid.errors"}

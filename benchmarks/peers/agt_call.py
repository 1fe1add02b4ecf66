"""agent-governance-toolkit: `govern` with a two-rule policy and its default audit."""

import os
import tempfile

from agentmesh.governance import govern
from timing import body, report

POLICY = """
apiVersion: governance.toolkit/v1
name: bench
default_action: deny
rules:
  - name: allow-read
    condition: "action.type == 'read'"
    action: allow
    priority: 10
  - name: deny-delete
    condition: "action.type == 'delete'"
    action: deny
    priority: 20
"""
with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
    file.write(POLICY)


def tool(action: str = "", customer_id: str = "") -> str:
    """What is governed."""
    return body(customer_id)


safe = govern(tool, policy=file.name)


def denied() -> str:
    """Refused."""
    try:
        safe(action="delete", customer_id="c-42")
    except Exception:
        return "denied"
    return "ran"


report(
    "agent-governance-toolkit-core",
    lambda: safe(action="read", customer_id="c-42"),
    denied,
    note="audit on, as by default",
)
os.unlink(file.name)

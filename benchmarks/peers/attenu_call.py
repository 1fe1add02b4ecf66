"""attenu-guard: `enforce` in memory, before the body."""

from attenu_guard import Authority, Guard
from timing import body, report

parent = Guard.issue("bot", Authority(scopes={"crm.read"}, ttl=3600))


def allowed() -> str:
    """Allowed."""
    parent.enforce("crm.read")
    return body("c-42")


def denied() -> str:
    """Refused."""
    try:
        parent.enforce("crm.delete")
    except Exception:
        return "denied"
    return "ran"


report("attenu-guard", allowed, denied, note="ledger in memory")

"""
What a type checker must refuse, so that a mistake is seen while it is written.

Each line is marked with the complaint that is expected; a checker in strict mode complains about a mark that is not
needed.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from agentid import Authority, Guard, requires


@requires("read:crm/customers/{customer_id}")
def get_customer(customer_id: str) -> dict[str, str]:
    return {"id": customer_id}


@requires("read:crm/customers/{customer_id}")
async def fetch(customer_id: str) -> int:
    return 1


def mistakes(authority: Authority) -> None:
    get_customer(7)  # type: ignore[arg-type]
    get_customer()  # type: ignore[call-arg]
    get_customer("c-1").upper()  # type: ignore[attr-defined]
    number: int = fetch("c-1")  # type: ignore[assignment]
    requires(7)  # type: ignore[arg-type]
    Guard(authority)  # type: ignore[arg-type]
    Guard(authority.trust, approver="ask")  # type: ignore[arg-type]
    Guard(authority.trust, audit=print)  # type: ignore[arg-type]
    Guard(authority.trust, limits=3)  # type: ignore[arg-type]
    Guard(authority.trust, enforce=False)  # type: ignore[call-arg]
    Guard(authority.trust).acting_as("bot")  # type: ignore[arg-type]
    print(number)

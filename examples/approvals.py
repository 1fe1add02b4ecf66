"""A person is asked before money moves: small transfers go through, larger ones need a yes, huge ones a wider grant."""

from agentid import (
    AccessDeniedError,
    Approval,
    ApprovalRequest,
    Authority,
    Guard,
    Permission,
    at_most,
    between,
    requires,
)


@requires("write:bank/transfers/{account}", sinks={"account", "amount"})
def transfer(account: str, amount: int) -> str:
    return f"sent {amount} to {account}"


def grace(request: ApprovalRequest) -> Approval:
    """Stands for a person. `TerminalApprover()` asks a real one."""
    amount = request.arguments["amount"]
    print(f"Grace is asked about {amount} for {request.accesses[0].resource}")
    return Approval(approved=amount <= 500, approver="grace", why="more than my limit" if amount > 500 else "")


transfers = Permission.parse("write:bank/transfers/de-*")
authority = Authority.create("acme.example")
bot = authority.issue(
    "pay-bot",
    allow=[transfers.where(amount=at_most(100))],
    ask=[transfers.where(amount=between(101, 1000))],
    owner="team:finance",
)
guard = Guard(authority.trust, approver=grace)

with guard.acting_as(bot, task="Pay the invoices of May"):
    for account, amount in [("de-17", 40), ("de-17", 400), ("de-17", 900), ("de-17", 4000), ("ch-99", 40)]:
        try:
            print(transfer(account, amount=amount))
        except AccessDeniedError as refusal:
            print(refusal.decision.reason)

"""agentid, with nobody recording, as the others."""

from timing import body, report

from agentid import AccessDeniedError, Authority, Guard, requires

read = requires("read:crm/customers/{customer_id}")(body)
delete = requires("delete:crm/customers/{customer_id}")(body)
authority = Authority.create("bench.example")
bot = authority.issue("bench-bot", allow=["read:crm/customers/*"])


def denied() -> str:
    """Refused."""
    try:
        delete("c-42")
    except AccessDeniedError:
        return "denied"
    return "ran"


with Guard(authority.trust).acting_as(bot):
    report("agentid-guard", lambda: read("c-42"), denied, note="signed identity, decided in process")

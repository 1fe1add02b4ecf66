"""Twenty lines: an agent that reads customers, and deletes nothing, whatever it is told."""

from agentid import AccessDeniedError, Authority, Guard, requires


@requires("read:crm/customers/{customer_id}")
def get_customer(customer_id: str) -> dict[str, str]:
    return {"id": customer_id, "name": "Ada"}


@requires("delete:crm/customers/{customer_id}")
def delete_customer(customer_id: str) -> None:
    print("deleted", customer_id)


authority = Authority.create("acme.example")
bot = authority.issue("support-bot", allow=["read:crm/customers/*"], owner="team:support")
guard = Guard(authority.trust, observers=[lambda record: print(record.effect, record.action, record.resource)])

with guard.acting_as(bot, task="Answer Ada about order 17"):
    print(get_customer("c-42"))
    try:
        delete_customer("c-42")
    except AccessDeniedError as refusal:
        print(refusal.for_model)

"""Tools for a framework that runs them in threads of its own: each call acts as the agent it was bound to."""

from concurrent.futures import ThreadPoolExecutor

from agentid import Authority, Error, Guard, requires


@requires("read:crm/customers/{customer_id}")
def get_customer(customer_id: str) -> str:
    """Look up a customer."""
    return f"customer {customer_id}"


def framework(tools, calls):
    """Stands for an agent framework: it calls tools by name, wherever it likes, and shows results to a model."""
    with ThreadPoolExecutor(max_workers=2) as executor:
        for name, argument in calls:
            try:
                result = executor.submit(tools[name], argument).result()
            except Error as refusal:
                result = refusal.for_model  # the one sentence that a model may see
            print(f"{name}({argument!r}) -> {result}")


authority = Authority.create("acme.example")
guard = Guard(authority.trust)
bot = authority.issue("support-bot", allow=["read:crm/customers/c-*"], owner="team:support")

tools = {"get_customer": guard.bind(bot, get_customer, task="Answer Ada")}
framework(tools, [("get_customer", "c-42"), ("get_customer", "x-1"), ("get_customer", "../secrets")])

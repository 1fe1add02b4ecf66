"""tenuo: its decorator with a warrant in context, as its guide shows it."""

import warnings

from tenuo import Capability, Pattern, SigningKey, configure, guard, mint_sync
from timing import body, report

warnings.simplefilter("ignore")
configure(issuer_key=SigningKey.generate(), dev_mode=True)


@guard(tool="read")
def read(customer_id: str) -> str:
    """Covered by the warrant."""
    return body(customer_id)


@guard(tool="delete")
def delete(customer_id: str) -> str:
    """Not covered."""
    return body(customer_id)


def denied() -> str:
    """Refused."""
    try:
        delete(customer_id="c-42")
    except Exception:
        return "denied"
    return "ran"


with mint_sync(Capability("read", customer_id=Pattern("c-*"))):
    report("tenuo", lambda: read(customer_id="c-42"), denied, note="warrant, proof of possession at each call")

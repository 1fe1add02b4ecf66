"""cedarpy: one decision, with policies and entities parsed beforehand where the API allows that."""

import cedarpy
from timing import body, report

POLICIES = 'permit(principal == Agent::"bot", action == Action::"read", resource in Folder::"customers");'
ENTITIES = [
    {"uid": {"type": "Agent", "id": "bot"}, "attrs": {}, "parents": []},
    {"uid": {"type": "Customer", "id": "c-42"}, "attrs": {}, "parents": [{"type": "Folder", "id": "customers"}]},
]
policies = cedarpy.PolicySet.from_str(POLICIES) if hasattr(cedarpy, "PolicySet") else POLICIES


def decide(action: str) -> bool:
    """Whether bot may do *action* to c-42."""
    request = {
        "principal": {"type": "Agent", "id": "bot"},
        "action": {"type": "Action", "id": action},
        "resource": {"type": "Customer", "id": "c-42"},
        "context": {},
    }
    return bool(cedarpy.is_authorized(request, policies, ENTITIES).allowed)


def allowed() -> str:
    """Allowed."""
    return body("c-42") if decide("read") else "denied"


def denied() -> str:
    """Denied."""
    return body("c-42") if decide("delete") else "denied"


report("cedarpy", allowed, denied, note="one decision; no identity, no wrapper")

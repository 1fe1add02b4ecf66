"""casbin: one decision with keyMatch and ten rules."""

import casbin
from timing import body, report

model = casbin.Model()
model.load_model_from_text(
    """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act
"""
)
enforcer = casbin.Enforcer(model)
for number in range(9):
    enforcer.add_policy("bot", f"/other/{number}/*", "read")
enforcer.add_policy("bot", "/crm/customers/*", "read")


def allowed() -> str:
    """Allowed."""
    return body("c-42") if enforcer.enforce("bot", "/crm/customers/c-42", "read") else "denied"


def denied() -> str:
    """Denied."""
    return body("c-42") if enforcer.enforce("bot", "/crm/customers/c-42", "delete") else "denied"


report("casbin", allowed, denied, note="one decision among ten rules; no identity, no wrapper")

"""
Handing a part of a grant on: the links after the authority's.

Each link is signed by the key that holds the link before it, and says which key may do which part, and what
its holder is called. Nobody is asked, and everything is verified offline, by the same function when a link is
made and each time that a chain is verified (docs/adr/0007):

- I1: it is issued by the key that holds the link before, and by no other;
- I2: it is one step deeper, no deeper than the link before allows, and does not allow more depth itself;
- I3: it begins no earlier than the link before, and ends no later;
- I4: each permission is covered by one of the link before, and what had to be asked about is not allowed without;
- I5: it names the hash of what was signed in the link before, so that no link can be left out or exchanged.

What must never happen: a chain whose last holder may do something that one of those above may not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from agentid import names
from agentid.constraint import Constraint
from agentid.errors import CredentialError, DelegationError, quote
from agentid.identity.agent_id import check_name
from agentid.identity.credential import Credential, holder_key
from agentid.identity.grant import Grant, access_details, read_permissions
from agentid.identity.token import GRANT, UNKNOWN_KEY, Lifetime, Shape, decode
from agentid.permission import Permission
from agentid.signing import PublicKey, b64url

if TYPE_CHECKING:
    from agentid.identity.claims import DelegatedClaims

__all__ = ["hand_on", "link_claims", "link_hash", "link_shape", "sub_agent", "verify_link"]

MAX_COMPARISONS: Final = 200_000
"""
How many pairs of permissions are compared for one link, so that nobody's chain keeps a verifier busy. A pair with
constraints counts as many times as there are pairs of their parts.
"""


def verify_link(parent: Grant, parent_hash: str, token: str, *, now: float, leeway: float) -> tuple[Grant, Lifetime]:
    """
    Verify the link that hands a part of *parent* on, and give what its holder may do, and for how long.

    Args:
        parent: What the link before says, verified.
        parent_hash: Of that link itself, as `link_hash` gives it.
        token: The link.
        now: Unix seconds.
        leeway: Seconds by which the holder's clock may be ahead of ours.

    Raises:
        CredentialError: It is not a link of a grant.
        DelegationError: It is one, and hands on what it must not, or is not of this chain.
    """
    try:
        claims, lifetime = decode(
            token, GRANT, {parent.holder: parent.holder_key}, link_shape(), now=now, leeway=leeway
        )
    except DelegationError:
        raise
    except CredentialError as error:
        # Which key has to have signed it is known; whatever is wrong with a link, the chain is broken there.
        if type(error) is not CredentialError:
            raise
        why = "a link is not signed by the key that holds the link before" if error.why == UNKNOWN_KEY else error.why
        raise _broken(why) from None
    return hand_on(parent, parent_hash, claims), lifetime


def hand_on(parent: Grant, parent_hash: str, link: DelegatedClaims) -> Grant:
    """
    Read the claims of the link that hands a part of *parent* on; the signature is not looked at.

    Raises:
        CredentialError: They name an action, pattern or constraint that is not known.
        DelegationError: They hand on what they must not, or are not of this chain.
    """
    _check_depth(parent)
    if link["iss"] != names.DELEGATE_ISSUER + parent.holder:
        raise _broken("a link is not issued by the key that holds the link before")
    if link["par_hash"] != parent_hash:
        raise _broken("a link does not follow on the link before")
    if link["del_depth"] != parent.depth + 1:
        raise _broken("a link is not one step deeper than the link before")
    if not link["del_depth"] <= link["del_max_depth"] <= parent.max_depth:
        raise _refused("it would be handed on more often than the link before allows")
    if link["iat"] < parent.issued_at:
        raise _refused("it begins before what it is a part of")
    if link["exp"] > parent.expires_at:
        raise _refused(
            "it would outlive what it is a part of", fix="Give it a shorter `ttl`, or none to end with its parent"
        )
    if link["jti"] in parent.chain_ids:
        raise _broken("two links have one id")
    key = holder_key(link["cnf"]["jwk"], GRANT)
    if key in parent.keys:
        raise _broken("one key holds two links")
    check_name(link["agent"]["name"])
    allow, ask = read_permissions(link["authorization_details"])
    must_ask = (*parent.must_ask, *parent.ask)
    _check_permissions(allow, ask, parent, must_ask)
    actions = {permission.action for permission in allow} if must_ask else ()
    return Grant(
        token_id=link["jti"],
        trust_domain=parent.trust_domain,
        allow=allow,
        ask=ask,
        issued_at=link["iat"],
        expires_at=link["exp"],
        depth=link["del_depth"],
        max_depth=link["del_max_depth"],
        chain_ids=(*parent.chain_ids, link["jti"]),
        keys=(*parent.keys, key),
        names=(*parent.names, link["agent"]["name"]),
        must_ask=tuple([permission for permission in must_ask if permission.action in actions]),
        on_behalf_of=parent.on_behalf_of,
        purpose=link["agent"].get("purpose", ""),
        status=parent.status,
    )


def link_claims(
    parent: Grant,
    parent_hash: str,
    *,
    key: PublicKey,
    name: str,
    purpose: str,
    allow: Iterable[Permission],
    ask: Iterable[Permission],
    token_id: str,
    issued_at: int,
    expires_at: int,
    max_depth: int,
) -> dict[str, Any]:
    """
    Give the claims of a link that hands a part of *parent* to the holder of *key*.

    Raises:
        DelegationError: *parent* is not to be handed on at all. Nothing else is checked here.
    """
    _check_depth(parent)
    return {
        "iss": names.DELEGATE_ISSUER + parent.holder,
        "jti": token_id,
        "iat": issued_at,
        "exp": expires_at,
        "cnf": {"jwk": key.jwk},
        "del_depth": parent.depth + 1,
        "del_max_depth": max_depth,
        "par_hash": parent_hash,
        "authorization_details": access_details(allow, ask),
        names.AGENT_CLAIM: {"ver": 1, "name": name, "purpose": purpose},
    }


def link_hash(token: str) -> str:
    """Give what the next link names this one by: a hash of what was signed, as one input has many signatures."""
    return b64url(hashlib.sha256(token.rpartition(".")[0].encode("ascii")).digest())


def sub_agent(above: Credential, grant: Grant, below: Sequence[str]) -> Credential:
    """
    Say who holds *grant*, a part of what the agent of *above* was granted.

    Args:
        above: Whose sub-agent it is, or a sub-agent's.
        grant: Verified.
        below: What the links between the two call their holders, outermost first.

    Raises:
        CredentialError: The names of its chain make no id.
    """
    return replace(
        above,
        id=above.id.below(*below),
        token_id=grant.token_id,
        instance=grant.token_id,
        above=(above.instance, *grant.chain_ids[:-1]) if not above.above else (above.above[0], *grant.chain_ids[:-1]),
        purpose=grant.purpose,
        issued_at=grant.issued_at,
        expires_at=min(above.expires_at, grant.expires_at),
        key=grant.holder_key,
    )


def _check_depth(parent: Grant) -> None:
    if parent.depth >= parent.max_depth:
        raise _refused(f"it may be handed on {parent.max_depth} times, and not more often")


def _check_permissions(
    allow: tuple[Permission, ...], ask: tuple[Permission, ...], parent: Grant, must_ask: tuple[Permission, ...]
) -> None:
    held = (*parent.allow, *parent.ask)
    exact, asked = frozenset(held), frozenset(parent.ask)
    # Most of what is handed on is handed on as it is. A question that covers it is looked for all the same.
    new = [permission for permission in allow if permission not in exact or permission in asked]
    new_questions = [permission for permission in ask if permission not in exact]
    if not (new or new_questions or must_ask):
        return
    pairs = _weight(new) * _weight(parent.allow) + _weight(new_questions) * _weight(held)
    pairs += _weight(allow) * _weight(must_ask)
    if pairs > MAX_COMPARISONS:
        raise _refused(
            f"more than {MAX_COMPARISONS} pairs of permissions would have to be compared",
            fix="Write fewer or wider permissions",
        )
    for permission in allow:
        if any(question.covers(permission) for question in must_ask):
            raise _refused(
                f"{quote(permission, limit=200)} had to be asked about, and would be allowed without",
                fix="Put it under `ask`, or leave it away",
            )
    for wanted, holding in ((new, parent.allow), (new_questions, held)):
        for permission in wanted:
            if not any(one.covers(permission) for one in holding):
                raise _not_held(permission, parent)


def _weight(permissions: Iterable[Permission]) -> int:
    weight = 0
    for permission in permissions:
        weight += 1
        if permission.constraints:
            weight += sum(map(_parts, permission.constraints.values()))
    return weight


def _parts(constraint: Constraint) -> int:
    return sum(map(_parts, constraint.parts)) or 1


def _not_held(permission: Permission, parent: Grant) -> DelegationError:
    held = [*parent.allow, *parent.ask]
    held.sort(key=lambda p: p.action != permission.action)
    shown = ", ".join(quote(p) for p in held[:3]) + (f" and {len(held) - 3} more" if len(held) > 3 else "")
    return _refused(
        f"{quote(permission, limit=200)} is not covered by what is held, {shown or 'nothing'}",
        fix="Hand on a part of one permission that is held, with its constraints",
    )


@cache
def link_shape() -> Shape[DelegatedClaims]:
    """Give the shape of a link after the authority's."""
    from agentid.identity.claims import LINK_SHAPE  # loads pydantic

    return LINK_SHAPE


def _broken(why: str) -> DelegationError:
    return DelegationError("The grant was refused", why=f"its chain is broken: {why}")


def _refused(why: str, *, fix: str = "") -> DelegationError:
    return DelegationError("The grant cannot be handed on like this", why=why, fix=fix)

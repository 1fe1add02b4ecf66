"""
The shape of each kind of claims, as strict models: no member more, no conversion.

Loaded only when a token is read or written, because it loads pydantic. What the values mean, such as
whether an issuer is the right one, is checked where it is known.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agentid import names
from agentid.identity.grant import MAX_DEPTH
from agentid.identity.token import TokenKind, refused

__all__ = [
    "AccessDetail",
    "AgentClaim",
    "CredentialClaims",
    "DelegatedClaims",
    "GrantClaims",
    "JwtSvidClaims",
    "is_plain",
    "read",
]

MAX_TEXT: Final = 512


def is_plain(text: str) -> bool:
    """Say whether *text* is one short printable line: what an owner, a purpose or an audience may be."""
    return len(text) <= MAX_TEXT and text.isprintable()


def _plain(text: str) -> str:
    if not is_plain(text):
        raise ValueError("not plain")
    return text


_Plain = Annotated[str, AfterValidator(_plain)]
# pydantic's patterns are Rust's: `\z` is the very end, and no newline slips past it.
_TokenId = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9._:-]{1,128}\z")]
# `Literal[1]` would accept `true`, which equals 1 in Python and is something else in JSON.
_One = Annotated[int, Field(ge=1, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class AgentClaim(_Strict):
    """Who the agent is, besides its id."""

    ver: _One
    name: _Plain
    instance: _TokenId
    owner: _Plain = ""
    purpose: _Plain = ""


class _KeyConfirmation(_Strict):
    jwk: dict[str, str]


class _ThumbprintConfirmation(_Strict):
    jkt: _TokenId


class _Common(_Strict):
    iss: str
    jti: _TokenId
    # Read and bounded by `Lifetime` before any claim is.
    iat: int
    exp: int
    nbf: int | None = None


class CredentialClaims(_Common):
    """A WIT: who, and the key that proves it. No audience and no permission of any kind."""

    sub: str
    cnf: _KeyConfirmation
    agent: AgentClaim = Field(alias=names.AGENT_CLAIM)


class JwtSvidClaims(_Common):
    """A JWT-SVID: who, for one audience."""

    sub: str
    aud: _Plain
    cnf: _ThumbprintConfirmation
    agent: AgentClaim = Field(alias=names.AGENT_CLAIM)


class AccessDetail(_Strict):
    """Each of these actions on each of these patterns, under these constraints."""

    type: Literal["agentid_access"]
    actions: list[str] = Field(min_length=1)
    locations: list[str] = Field(min_length=1)
    constraints: dict[str, Any] = {}
    effect: Literal["allow", "ask"]


class _Person(_Strict):
    sub: Annotated[str, Field(min_length=1), AfterValidator(_plain)]


class GrantClaims(_Common):
    """What the holder of a key may do. It says nothing about who that is."""

    cnf: _KeyConfirmation
    del_depth: int = Field(ge=0, le=MAX_DEPTH)
    del_max_depth: int = Field(ge=0, le=MAX_DEPTH)
    authorization_details: list[AccessDetail]
    person: _Person | None = Field(default=None, alias=names.ON_BEHALF_OF_CLAIM)


class SubAgentClaim(_Strict):
    """What a link calls the holder of its key."""

    ver: _One
    name: _Plain
    purpose: _Plain = ""


class DelegatedClaims(_Common):
    """A later link of a grant. It names no person: who acts for whom is said by the authority alone."""

    cnf: _KeyConfirmation
    del_depth: int = Field(ge=1, le=MAX_DEPTH)
    del_max_depth: int = Field(ge=1, le=MAX_DEPTH)
    par_hash: Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9_-]{43}\z")]
    authorization_details: list[AccessDetail]
    agent: SubAgentClaim = Field(alias=names.AGENT_CLAIM)


_Model = TypeVar("_Model", bound=_Strict)


def read(model: type[_Model], claims: dict[str, Any], kind: TokenKind) -> _Model:
    """
    Read *claims* into *model*.

    Raises:
        CredentialError: A member is missing, unknown or of another type.
    """
    try:
        return model.model_validate(claims)
    except ValidationError as error:
        # The place of the first problem and nothing of its value; a member's own name came from outside, too.
        place = next((str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"]), "")
        known = {field.alias or name for name, field in model.model_fields.items()}
        raise refused(
            kind, f"its `{place}` is missing or wrong" if place in known else "it has a member that it must not have"
        ) from None

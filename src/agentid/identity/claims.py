"""
The shape of each kind of claims, as strict models: no member more, no conversion.

Loaded only when a token is read or written, because it loads pydantic. What the values mean, such as
whether an issuer is the right one, is checked where it is known.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    with_config,
)

# Comes with pydantic, which takes no other `TypedDict` before Python 3.12.
from typing_extensions import NotRequired, TypedDict

from agentid import names
from agentid.errors import CredentialError
from agentid.identity.grant import MAX_DEPTH
from agentid.identity.token import CREDENTIAL, JWT_SVID, TokenKind, refused

__all__ = [
    "AccessDetail",
    "AgentClaim",
    "CredentialClaims",
    "DelegatedClaims",
    "ForeignSvidClaims",
    "GrantClaims",
    "JwtSvidClaims",
    "StatusClaim",
    "is_plain",
    "read",
    "read_credential",
    "read_jwt_svid",
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


_CONFIG: Final = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


# Who an agent is gets read for each agent that shows up, and a `TypedDict` takes half the time of a model.
@with_config(_CONFIG)
class AgentClaim(TypedDict):
    """Who the agent is, besides its id."""

    ver: _One
    name: Annotated[str, StringConstraints(max_length=MAX_TEXT)]
    instance: _TokenId
    owner: NotRequired[_Plain]
    purpose: NotRequired[_Plain]


@with_config(_CONFIG)
class _KeyMember(TypedDict):
    jwk: dict[str, str]


@with_config(_CONFIG)
class _ThumbprintMember(TypedDict):
    jkt: _TokenId


class _Agent(TypedDict):
    iss: str
    sub: str
    jti: _TokenId
    # Read and bounded by `Lifetime` before any claim is.
    iat: int
    exp: int
    nbf: NotRequired[int]
    agent: Annotated[AgentClaim, Field(alias=names.AGENT_CLAIM)]


@with_config(_CONFIG)
class _StatusPlace(TypedDict):
    idx: Annotated[int, Field(ge=0, lt=2**31)]
    uri: Annotated[_Plain, Field(min_length=1)]


@with_config(_CONFIG)
class StatusClaim(TypedDict):
    """Where the status of a token is published (draft-ietf-oauth-status-list)."""

    status_list: _StatusPlace


@with_config(_CONFIG)
class CredentialClaims(_Agent):
    """A WIT: who, and the key that proves it. No audience and no permission of any kind."""

    cnf: _KeyMember
    status: NotRequired[StatusClaim]


@with_config(_CONFIG)
class JwtSvidClaims(_Agent):
    """A JWT-SVID: who, for one audience."""

    aud: _Plain
    cnf: _ThumbprintMember


class _Strict(BaseModel):
    model_config = _CONFIG


class ForeignSvidClaims(_Strict):
    """What SPIFFE asks of a JWT-SVID, whoever issued it. Whatever else it says, says nothing here."""

    model_config = ConfigDict(extra="ignore")

    sub: str
    aud: _Plain | list[_Plain]
    # Read and bounded by `Lifetime` before any claim is.
    exp: int
    iat: int = 0
    jti: _Plain = ""


class _KeyConfirmation(_Strict):
    jwk: dict[str, str]


class _Common(_Strict):
    iss: str
    jti: _TokenId
    # Read and bounded by `Lifetime` before any claim is.
    iat: int
    exp: int
    nbf: int | None = None


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
    status: StatusClaim | None = None


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
        raise _refusal(error, {field.alias or name for name, field in model.model_fields.items()}, kind) from None


def read_credential(claims: dict[str, Any]) -> CredentialClaims:
    """
    Read the claims of a WIT.

    Raises:
        CredentialError: A member is missing, unknown or of another type.
    """
    try:
        return _CREDENTIAL.validate_python(claims)
    except ValidationError as error:
        raise _refusal(error, _members(CredentialClaims), CREDENTIAL) from None


def read_jwt_svid(claims: dict[str, Any]) -> JwtSvidClaims:
    """
    Read the claims of a JWT-SVID.

    Raises:
        CredentialError: A member is missing, unknown or of another type.
    """
    try:
        return _JWT_SVID.validate_python(claims)
    except ValidationError as error:
        raise _refusal(error, _members(JwtSvidClaims), JWT_SVID) from None


_CREDENTIAL: Final = TypeAdapter(CredentialClaims).validator
_JWT_SVID: Final = TypeAdapter(JwtSvidClaims).validator


def _members(claims: type) -> set[str]:
    return {names.AGENT_CLAIM if name == "agent" else name for name in claims.__annotations__}


def _refusal(error: ValidationError, known: set[str], kind: TokenKind) -> CredentialError:
    # The place of the first problem and nothing of its value; a member's own name came from outside, too.
    place = next((str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"]), "")
    return refused(
        kind, f"its `{place}` is missing or wrong" if place in known else "it has a member that it must not have"
    )

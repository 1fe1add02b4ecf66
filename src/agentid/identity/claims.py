"""
The shape of each kind of claims, read strictly: no member more, no conversion.

Loaded only when a token is read or written, because it loads pydantic. What the values mean, such as
whether an issuer is the right one, is checked where it is known.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Generic, Literal, TypeVar, get_type_hints

from pydantic import (
    AfterValidator,
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
from agentid.identity.strict_json import has_long_number
from agentid.identity.token import CREDENTIAL, GRANT, JWT_SVID, TOKEN_ID, TokenKind, refused

__all__ = [
    "CREDENTIAL_SHAPE",
    "FOREIGN_SVID_SHAPE",
    "GRANT_SHAPE",
    "JWT_SVID_SHAPE",
    "LINK_SHAPE",
    "AccessDetail",
    "AgentClaim",
    "CredentialClaims",
    "DelegatedClaims",
    "ForeignSvidClaims",
    "GrantClaims",
    "JwtSvidClaims",
    "StatusClaim",
    "is_plain",
]

MAX_TEXT: Final = 512

_CONSTRAINTS: Final = b'"constraints"'


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


# What agents bring with them is read for each one that shows up, and a `TypedDict` takes half the time of a model.
@with_config(_CONFIG)
class AgentClaim(TypedDict):
    """Who the agent is, besides its id."""

    ver: _One
    name: Annotated[str, StringConstraints(max_length=MAX_TEXT)]
    instance: _TokenId
    owner: NotRequired[_Plain]
    purpose: NotRequired[_Plain]


@with_config(_CONFIG)
class SvidAgentClaim(AgentClaim):
    """Of a sub-agent, also what it was handed down from."""

    above: NotRequired[Annotated[list[_TokenId], Field(min_length=2, max_length=MAX_DEPTH + 1)]]


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

    agent: Annotated[AgentClaim, Field(alias=names.AGENT_CLAIM)]
    cnf: _KeyMember
    status: NotRequired[StatusClaim]


@with_config(_CONFIG)
class JwtSvidClaims(_Agent):
    """A JWT-SVID: who, for one audience."""

    agent: Annotated[SvidAgentClaim, Field(alias=names.AGENT_CLAIM)]
    aud: _Plain
    cnf: _ThumbprintMember


@with_config(ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True))
class ForeignSvidClaims(TypedDict):
    """What SPIFFE asks of a JWT-SVID, whoever issued it. Whatever else it says, says nothing here."""

    sub: str
    aud: _Plain | list[_Plain]
    # Read and bounded by `Lifetime` before any claim is.
    exp: int
    iat: NotRequired[int]
    jti: NotRequired[_Plain]


@with_config(_CONFIG)
class AccessDetail(TypedDict):
    """Each of these actions on each of these patterns, under these constraints."""

    type: Literal["agentid_access"]
    actions: Annotated[list[str], Field(min_length=1)]
    locations: Annotated[list[str], Field(min_length=1)]
    effect: Literal["allow", "ask"]
    constraints: NotRequired[dict[str, Any]]


@with_config(_CONFIG)
class _Person(TypedDict):
    sub: Annotated[_Plain, Field(min_length=1)]


class _Link(TypedDict):
    iss: str
    jti: _TokenId
    # Read and bounded by `Lifetime` before any claim is.
    iat: int
    exp: int
    nbf: NotRequired[int]
    cnf: _KeyMember


@with_config(_CONFIG)
class GrantClaims(_Link):
    """What the holder of a key may do. It says nothing about who that is."""

    del_depth: Annotated[int, Field(ge=0, le=MAX_DEPTH)]
    del_max_depth: Annotated[int, Field(ge=0, le=MAX_DEPTH)]
    authorization_details: list[AccessDetail]
    person: NotRequired[Annotated[_Person, Field(alias=names.ON_BEHALF_OF_CLAIM)]]
    status: NotRequired[StatusClaim]


@with_config(_CONFIG)
class SubAgentClaim(TypedDict):
    """What a link calls the holder of its key."""

    ver: _One
    name: _Plain
    purpose: NotRequired[_Plain]


@with_config(_CONFIG)
class DelegatedClaims(_Link):
    """A later link of a grant. It names no person: who acts for whom is said by the authority alone."""

    # Whoever signs a link chooses its id. One that could be the name of an agent would be taken for that by whoever
    # revokes it by the id in a record.
    jti: Annotated[str, StringConstraints(pattern=rf"\A{TOKEN_ID}\z")]
    del_depth: Annotated[int, Field(ge=1, le=MAX_DEPTH)]
    del_max_depth: Annotated[int, Field(ge=1, le=MAX_DEPTH)]
    par_hash: Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9_-]{43}\z")]
    authorization_details: list[AccessDetail]
    agent: Annotated[SubAgentClaim, Field(alias=names.AGENT_CLAIM)]


_Claims = TypeVar("_Claims")
_ALIASES: Final = {"agent": names.AGENT_CLAIM, "person": names.ON_BEHALF_OF_CLAIM}


class _Shape(Generic[_Claims]):
    """A `Shape` of the claims of a token of *kind*; the order of its members is the usual one."""

    __slots__ = ("_kind", "_known", "_validate", "_validate_json", "_write")

    def __init__(self, claims: type[_Claims], kind: TokenKind) -> None:
        adapter = TypeAdapter(claims)
        self._kind = kind
        self._known = {_ALIASES.get(name, name) for name in get_type_hints(claims)}
        self._validate = adapter.validator.validate_python
        self._validate_json = adapter.validator.validate_json
        self._write = adapter.serializer.to_json

    def quick(self, data: bytes) -> _Claims | None:
        """See `Shape.quick`."""
        # INVARIANT: what is written from a value repeats no member and has nothing that is not strict JSON, so neither
        # has a text that equals it. Only a constraint may have a number of any length.
        if _CONSTRAINTS in data and has_long_number(data):
            return None
        try:
            claims: _Claims = self._validate_json(data)
            return claims if self._write(claims, by_alias=True) == data else None
        except ValueError:
            return None  # what is wrong with it is found out by the two steps

    def read(self, claims: dict[str, Any]) -> _Claims:
        """See `Shape.read`."""
        try:
            return self._validate(claims)
        except ValidationError as error:
            raise _refusal(error, self._known, self._kind) from None


CREDENTIAL_SHAPE: Final = _Shape(CredentialClaims, CREDENTIAL)
JWT_SVID_SHAPE: Final = _Shape(JwtSvidClaims, JWT_SVID)
FOREIGN_SVID_SHAPE: Final = _Shape(ForeignSvidClaims, JWT_SVID)
GRANT_SHAPE: Final = _Shape(GrantClaims, GRANT)
LINK_SHAPE: Final = _Shape(DelegatedClaims, GRANT)


def _refusal(error: ValidationError, known: set[str], kind: TokenKind) -> CredentialError:
    # The place of the first problem and nothing of its value; a member's own name came from outside, too.
    place = next((str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"]), "")
    return refused(
        kind, f"its `{place}` is missing or wrong" if place in known else "it has a member that it must not have"
    )

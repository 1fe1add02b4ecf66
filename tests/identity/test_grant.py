"""Grants: what a verified one allows, and what is refused because nobody knows what it would mean."""

from __future__ import annotations

import pytest

from agentid.constraint import at_most, exactly, one_of
from agentid.errors import ConfigurationError
from agentid.identity.token import GRANT, encode
from agentid.permission import Permission

READ = {"type": "agentid_access", "actions": ["read"], "locations": ["crm/customers/*"], "effect": "allow"}


@pytest.fixture
def forge(make_forge):
    """A forge for grants."""
    return make_forge("grant")


def grant_of(forge, *details):
    """Verify a grant with these details."""
    return forge.verify(forge.token(payload=forge.claims(authorization_details=list(details))))


def refusal_of(forge, *details):
    """Why a grant with these details is refused."""
    return forge.refusal(forge.token(payload=forge.claims(authorization_details=list(details))))


def test_a_verified_grant_says_what(forge, holder):
    """For whom, how long, and how far down."""
    grant = grant_of(forge, READ, {**READ, "actions": ["write"], "locations": ["mail/outbox/*"], "effect": "ask"})

    assert (Permission.parse("read:crm/customers/*"),) == grant.allow
    assert (Permission.parse("write:mail/outbox/*"),) == grant.ask
    assert (holder.kid, "token-1", ("token-1",)) == (grant.holder, grant.token_id, grant.chain_ids)
    assert (forge.now, forge.now + 240, 0, 2) == (grant.issued_at, grant.expires_at, grant.depth, grant.max_depth)
    assert grant.on_behalf_of is None


def test_an_entry_stands_for_each_action_on_each_location(forge):
    """As in RFC 9396."""
    grant = grant_of(forge, {**READ, "actions": ["read", "edit"], "locations": ["a/*", "b/*"]})

    assert ["read:a/*", "read:b/*", "edit:a/*", "edit:b/*"] == [str(p) for p in grant.allow]


def test_constraints_are_read(forge):
    """By argument name."""
    grant = grant_of(forge, {**READ, "constraints": {"amount": {"at_most": 100}}})

    assert (Permission.parse("read:crm/customers/*").where(amount=at_most(100)),) == grant.allow


def test_a_grant_of_nothing_allows_nothing(forge):
    """Empty is not everything."""
    grant = grant_of(forge)

    assert ((), ()) == (grant.allow, grant.ask)


def test_a_grant_names_the_person_it_is_for(forge):
    """Vouched for by the authority."""
    token = forge.token(payload=forge.claims(**{"urn:x-agentid:obo": {"sub": "user:ada"}}))

    assert "user:ada" == forge.verify(token).on_behalf_of


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "attenuating_agent_token"},
        {"type": None},
        {"type": 1},
        {"actions": None},
        {"actions": []},
        {"actions": "read"},
        {"actions": ["read", "READ"]},
        {"actions": ["*"]},
        {"actions": ["fly"]},
        {"actions": [1]},
        {"actions": [None]},
        {"locations": None},
        {"locations": []},
        {"locations": "crm/customers/*"},
        {"locations": ["crm/../secrets"]},
        {"locations": ["crm//x"]},
        {"locations": [""]},
        {"locations": ["crm/x\n"]},
        {"locations": [1]},
        {"effect": None},
        {"effect": "deny"},
        {"effect": "Allow"},
        {"effect": True},
        {"constraints": []},
        {"constraints": "x"},
        {"constraints": {"amount": {}}},
        {"constraints": {"amount": {"regex": ".*"}}},
        {"constraints": {"amount": {"at_most": "100"}}},
        {"constraints": {"amount": {"at_most": True}}},
        {"constraints": {"amount": {"at_most": 1, "at_least": 0}}},
        {"constraints": {"amount": 100}},
        {"constraints": {"amount": None}},
        {"constraints": {"not a name": {"at_most": 1}}},
        {"constraints": {"": {"at_most": 1}}},
        {"datatypes": ["x"]},
        {"identifier": "x"},
        {"privileges": ["x"]},
        {"expires": 1},
    ],
    ids=str,
)
def test_what_is_not_known_is_refused_and_never_skipped(forge, changes):
    """An unknown type, member, action, pattern, effect or constraint could be one that narrows."""
    detail = {name: value for name, value in (READ | changes).items() if value is not None}

    assert "CredentialError" in refusal_of(forge, detail)
    assert "CredentialError" in refusal_of(forge, READ, detail)


def test_constraints_that_nest_without_end_are_refused(forge):
    """Deep ones, and wide ones."""
    nested = {"at_most": 1}
    for _ in range(50):
        nested = {"all_of": [nested]}

    assert "CredentialError" in refusal_of(forge, {**READ, "constraints": {"x": nested}})
    assert "CredentialError" in refusal_of(forge, {**READ, "constraints": {"x": {"one_of": list(range(5000))}}})


@pytest.mark.parametrize("details", [None, {}, "x", 1, [1], [None], ["read:crm/*"], [[READ]]])
def test_what_is_no_list_of_entries_is_refused(forge, details):
    """And a grant without any list is no grant."""
    assert "CredentialError" in forge.refusal(forge.token(payload=forge.claims(authorization_details=details)))


@pytest.mark.parametrize(
    "changes",
    [
        {"del_depth": None},
        {"del_depth": -1},
        {"del_depth": True},
        {"del_depth": "0"},
        {"del_depth": 0.0},
        {"del_max_depth": None},
        {"del_max_depth": -1},
        {"del_max_depth": 9},
        {"del_max_depth": True},
        {"par_hash": "x"},
        {"sub": "spiffe://acme.example/agent/support-bot"},
        {"act": {"sub": "x"}},
        {"scope": "x"},
        {"unknown": 1},
        {"urn:x-agentid:obo": "user:ada"},
        {"urn:x-agentid:obo": {}},
        {"urn:x-agentid:obo": {"sub": ""}},
        {"urn:x-agentid:obo": {"sub": "a\nb"}},
        {"urn:x-agentid:obo": {"sub": "user:ada", "admin": True}},
        {"urn:x-agentid:agent": {"ver": 1, "name": "x", "instance": "x"}},
    ],
    ids=str,
)
def test_the_claims_of_a_grant_are_read_strictly(forge, changes):
    """It says what, and never who."""
    assert "CredentialError" in forge.refusal(forge.token(payload=forge.claims(**changes)))


def test_a_first_link_that_says_it_was_handed_on_is_refused(forge):
    """The authority's link has depth nought; another is a later one, moved to the front."""
    assert "DelegationError" in forge.refusal(forge.token(payload=forge.claims(del_depth=1)))


def test_a_chain_that_hangs_on_nothing_is_refused(forge):
    """Whatever the links are; more of them than any chain has are not even looked at."""
    good = forge.token()
    for chain in ([good] * 2, [good, "x"], [good, good[:-1]], ("x", "y", "z"), [good, None]):
        assert "Error" in forge.refusal(chain)
    for chain in (["x"] * 1000, [None] * 1000, [good] * 10):
        assert "DelegationError: it was handed on more than 8 times" in forge.refusal(chain)


@pytest.mark.parametrize(
    "chain", [[], (), [None], [1], [b"x"], [[]], {}, {"x"}, "", b"", None, 1, object(), iter(["x"])]
)
def test_what_is_no_chain_is_refused(forge, chain):
    """Only text, or a list of it."""
    assert "CredentialError" in forge.refusal(chain)


def test_a_chain_of_one_may_be_a_list_a_tuple_or_text(forge):
    """The same grant, however it is carried."""
    token = forge.token()

    assert forge.verify(token) == forge.verify([token]) == forge.verify((token,))


def test_a_chain_is_limited_as_a_whole(forge):
    """Each link may be as long as a grant may be; all of them together, too."""
    half = "a" * (5 * 1024 * 1024)

    assert "together" in forge.refusal([half, half])


# --- issuing ----------------------------------------------------------------------------------------


def test_what_is_issued_is_what_is_verified(authority, trust):
    """Permissions survive the way into a token and out of it: order, effect, and constraints by type."""
    base = Permission.parse("write:bank/transfers/*")
    allow = [
        Permission.parse("read:crm/customers/*"),
        Permission.parse("read:crm/orders/**"),
        base.where(flag=exactly(True)),
        base.where(flag=exactly(1)),
        base.where(flag=exactly(1.0)),
        base.where(amount=at_most(100), currency=one_of("EUR", "Fränkli")),
        base.where(amount=at_most(2**63 - 1)),
        Permission.parse("read:crm/customers/*@acme.example"),
        Permission.parse("execute:mcp://github/create_issue"),
    ]
    agent = authority.issue("bot", allow=allow, ask=reversed(allow), on_behalf_of="user:ada")
    grant = trust.verify_grant(agent.grant_chain)

    assert tuple(allow) == grant.allow == agent.allow
    assert tuple(reversed(allow)) == grant.ask == agent.ask
    assert [str(p) for p in allow] == [str(p) for p in grant.allow]
    assert "user:ada" == grant.on_behalf_of == agent.on_behalf_of


@pytest.mark.slow
def test_a_hundred_thousand_permissions_fit(authority, trust):
    """That is what the index is built for."""
    allow = [Permission.parse(f"read:crm/customers/c-{n}") for n in range(100_000)]
    agent = authority.issue("bot", allow=allow)

    assert 100_000 == len(trust.verify_grant(agent.grant_chain).allow)


def test_more_than_fits_is_refused_when_it_is_issued(authority):
    """Not when it is used."""
    allow = [Permission.parse(f"read:crm/{'c' * 3_900}/{n}") for n in range(1_700)]

    with pytest.raises(ConfigurationError, match="longer than"):
        authority.issue("bot", allow=allow)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "\ud800", b"x", {1}, object()])
def test_what_json_cannot_carry_is_refused_when_it_is_issued(keys, value):
    """Infinity is a number to Python and none to JSON; half a character is text to Python and none to UTF-8."""
    with pytest.raises(ConfigurationError, match="JSON cannot carry"):
        encode(keys["agentid-grant"], GRANT, {"x": value})


def test_what_nests_without_end_is_refused_when_it_is_issued(keys):
    """It has no text."""
    nested = []
    nested.append(nested)

    with pytest.raises(ConfigurationError, match="JSON cannot carry"):
        encode(keys["agentid-grant"], GRANT, {"x": nested})


def test_what_is_granted_twice_is_written_once(authority):
    """A reader refuses what is said twice: a few kilobytes could stand for millions of permissions."""
    bot = authority.issue("bot", allow=["read:a", "read:b", "read:a"], ask=["write:a", "write:a"])
    grant = authority.trust.verify_agent(bot).grant

    assert (["read:a", "read:b"], ["write:a"]) == ([str(p) for p in grant.allow], [str(p) for p in grant.ask])
    assert authority.trust.verify_agent(bot.delegate("helper", allow=["read:a", "read:a"]))

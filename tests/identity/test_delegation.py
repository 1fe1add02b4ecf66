"""A part of a grant, handed on: what is made, what is verified, and each reason to refuse it."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta

import pytest

from agentid import Permission, any_of, at_most, starts_with
from agentid.errors import (
    ConfigurationError,
    CredentialError,
    CredentialExpiredError,
    CredentialRevokedError,
    DelegationError,
)
from agentid.identity import Agent, Authority
from agentid.identity.credential import Credential, credential_shape
from agentid.identity.delegation import link_claims, link_hash
from agentid.identity.grant import access_details
from agentid.identity.token import GRANT, encode
from agentid.signing import PrivateKey

from .conftest import NOW, segment

LINK_ID = "11111111-2222-4333-8444-555555555555"
PARENT = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:"


@pytest.fixture
def bot(authority):
    """An agent that may hand something on."""
    return authority.issue(
        "support-bot",
        allow=["read:crm/customers/*", Permission.parse("write:pay/*").where(amount=at_most(100)), "write:notes/**"],
        ask=["write:mail/outbox/*", "write:notes/secret/**"],
        owner="team:support",
        on_behalf_of="user:ada",
    )


@pytest.fixture
def trust(authority):
    """The authority's public keys alone, as another process has them."""
    from agentid.identity import TrustAnchor

    return TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="acme.example", clock=authority._clock)


# --- what is made ----------------------------------------------------------------------------------------------------


def test_a_sub_agent_has_a_key_a_name_and_a_part_of_the_grant(bot, trust):
    helper = bot.delegate("summariser", allow=["read:crm/customers/c-42"], ttl=timedelta(minutes=5), purpose="sums up")
    verified = trust.verify_agent(helper)

    assert "spiffe://acme.example/agent/support-bot/summariser" == str(helper.id) == str(verified.credential.id)
    assert ("summariser", "team:support", "sums up", "user:ada") == (
        helper.name,
        helper.owner,
        helper.purpose,
        helper.on_behalf_of,
    )
    assert ["read:crm/customers/c-42"] == [str(p) for p in verified.grant.allow]
    assert () == verified.grant.ask
    assert (1, 2, NOW + 300) == (verified.grant.depth, verified.grant.max_depth, verified.expires_at)
    assert helper.describe()["key_id"] != bot.describe()["key_id"]
    assert ["spiffe://acme.example/agent/support-bot"] == helper.describe()["delegated_by"]
    assert [] == bot.describe()["delegated_by"]
    assert helper.grant_chain[:1] == bot.grant_chain
    assert helper.credential_token == bot.credential_token


def test_a_sub_agent_hands_on_what_it_has_got(bot, trust):
    second = bot.delegate("a", allow=["read:crm/customers/*"]).delegate("b", allow=["read:crm/customers/c-1"])

    assert "/agent/support-bot/a/b" == trust.verify_agent(second).credential.id.path
    assert ["/agent/support-bot", "/agent/support-bot/a"] == [
        above.partition("acme.example")[2] for above in second.describe()["delegated_by"]
    ]
    with pytest.raises(DelegationError, match="handed on 2 times"):
        second.delegate("c", allow=["read:crm/customers/c-1"])


def test_how_deep_a_chain_gets_is_said_by_whoever_begins_it(authority, trust):
    agent = authority.issue("root", allow=["read:**"], max_depth=8)
    for number in range(8):
        agent = agent.delegate(f"n{number}", allow=["read:**"])
    assert 8 == trust.verify_agent(agent).grant.depth

    with pytest.raises(DelegationError, match="8 times"):
        agent.delegate("n8", allow=["read:**"])
    with pytest.raises(DelegationError, match="0 times"):
        authority.issue("flat", allow=["read:**"], max_depth=0).delegate("sub", allow=["read:x"])
    with pytest.raises(ConfigurationError, match="0 to 8"):
        authority.issue("deep", max_depth=9)


def test_a_sub_agent_may_be_kept_from_handing_on(bot):
    only = bot.delegate("only", allow=["read:crm/customers/*"], max_depth=1)

    with pytest.raises(DelegationError, match="1 times"):
        only.delegate("more", allow=["read:crm/customers/c-1"])
    with pytest.raises(DelegationError, match="more often than the link before allows"):
        bot.delegate("deep", max_depth=3)


def test_a_depth_that_the_sub_agent_itself_is_beyond_says_from_where_it_counts(bot):
    sub = bot.delegate("sub")
    for agent, depth, least in ((bot, 0, 1), (sub, 0, 2), (sub, 1, 2)):
        with pytest.raises(ConfigurationError) as caught:
            agent.delegate("more", max_depth=depth)
        assert "`max_depth` was refused" == caught.value.what
        assert f"it counts from the authority, and the sub-agent itself is at depth {least}" == caught.value.why
        assert f"Use {least} for a sub-agent that hands nothing on" == caught.value.fix
        assert least == agent.delegate("more", max_depth=least)._grant.max_depth


def test_where_nothing_may_be_handed_on_no_depth_is_asked_for(bot):
    only = bot.delegate("only", max_depth=1)
    for depth in (None, 0, 1, 2):
        with pytest.raises(DelegationError, match="may be handed on 1 times"):
            only.delegate("more", max_depth=depth)


def test_without_a_lifetime_it_lives_a_quarter_of_an_hour_and_never_longer_than_its_parent(bot, clock):
    assert NOW + 900 == bot.delegate("a").expires_at.timestamp()
    clock.forward(3500)
    assert NOW + 3600 == bot.delegate("b").expires_at.timestamp()
    assert NOW + 3600 == bot.delegate("c", ttl=timedelta(seconds=100)).expires_at.timestamp()
    clock.forward(100)
    with pytest.raises(CredentialExpiredError):
        bot.delegate("d")


def test_a_sub_agent_is_saved_and_loaded(bot, trust, tmp_path):
    second = bot.delegate("a", allow=["read:crm/customers/*"]).delegate("b", allow=["read:crm/customers/c-1"])
    second.save(tmp_path / "b.json")
    loaded = Agent.load(tmp_path / "b.json")

    assert second.describe() == loaded.describe()
    assert trust.verify_agent(second) == trust.verify_agent(loaded)


def test_a_stolen_chain_without_the_last_key_is_worth_nothing(bot, trust, tmp_path):
    helper, thief = bot.delegate("a", allow=["read:crm/customers/*"]), PrivateKey.generate()
    helper.save(tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    for key in (thief, bot._key):
        content["key"] = key.to_pem().decode()
        (tmp_path / "a.json").write_text(json.dumps(content))
        with pytest.raises(CredentialError, match="do not belong together"):
            Agent.load(tmp_path / "a.json")
    forged = Agent(
        thief,
        credential=helper._credential,
        token=helper.credential_token,
        grant=helper._grant,
        chain=helper.grant_chain,
    )
    with pytest.raises(CredentialError, match="does not hold the key"):
        trust.verify_agent(forged)


def test_the_chain_of_another_agent_is_refused(bot, authority, trust):
    """A credential and a chain go together, however good each of them is."""
    other = authority.issue("other", allow=["read:crm/customers/*"])
    helper = bot.delegate("a", allow=["read:crm/customers/*"])
    mixed = Agent(
        helper._key,
        credential=helper._credential,
        token=other.credential_token,
        grant=helper._grant,
        chain=helper.grant_chain,
    )

    with pytest.raises(CredentialError, match="issued to another agent"):
        trust.verify_agent(mixed)


# --- what is refused when it is handed on ----------------------------------------------------------------------------

TOO_MUCH = {
    "another action": ({"allow": ["edit:crm/customers/c-1"]}, "is not covered by what is held"),
    "a wider pattern": ({"allow": ["read:crm/**"]}, "is not covered"),
    "a sibling": ({"allow": ["read:crm/customersx/c-1"]}, "is not covered"),
    "no constraint": ({"allow": ["write:pay/x"]}, "is not covered"),
    "a looser constraint": (
        {"allow": [Permission.parse("write:pay/x").where(amount=at_most(101))]},
        "is not covered",
    ),
    "another constraint": ({"allow": [Permission.parse("write:pay/x").where(total=at_most(1))]}, "is not covered"),
    "a wider question": ({"ask": ["write:mail/**"]}, "is not covered"),
    "asked, now allowed": ({"allow": ["write:mail/outbox/ada"]}, "had to be asked about"),
    "allowed, but asked there": ({"allow": ["write:notes/secret/x"]}, "had to be asked about"),
    "a longer life": ({"ttl": timedelta(hours=1, seconds=1)}, "would outlive"),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_more_than_is_held_cannot_be_handed_on(case, bot):
    wanted, says = TOO_MUCH[case]
    with pytest.raises(DelegationError, match=says) as refused:
        bot.delegate("helper", **wanted)

    assert "delegation.refused" == refused.value.code
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": ".."},
        {"name": "a/b"},
        {"name": "a" * 129},
        {"name": None},
        {"ttl": timedelta(0)},
        {"ttl": 5},
        {"ttl": timedelta(days=2)},
        {"allow": "read:x"},
        {"allow": ["fly:x"]},
        {"purpose": "a\nb"},
        {"max_depth": 9},
        {"max_depth": True},
    ],
)
def test_what_makes_no_sense_is_a_mistake(wrong, bot):
    with pytest.raises(ConfigurationError):
        bot.delegate(**{"name": "helper", **wrong})


def test_what_is_held_is_named_where_more_is_wanted(bot):
    with pytest.raises(
        DelegationError, match=r"`read:crm/\*\*` is not covered by what is held, `read:crm/customers/\*`"
    ):
        bot.delegate("helper", allow=["read:crm/**"])


def test_more_permissions_than_can_be_compared_are_refused(authority):
    bot = authority.issue("bot", allow=[f"read:a{n}/*" for n in range(1000)])
    bot.delegate("all", allow=bot.allow)  # as they are, they need no comparing

    with pytest.raises(DelegationError, match="pairs of permissions"):
        bot.delegate("many", allow=[f"read:a{n}/x" for n in range(1000)])


# --- what is refused when it is verified -----------------------------------------------------------------------------


class Links:
    """Forges the link after an agent's, signed with the key of that agent unless told otherwise."""

    def __init__(self, parent):
        self.parent = parent
        self.holder = PrivateKey.generate()

    def claims(self, **changes):
        signed = self.parent.grant_chain[-1].rpartition(".")[0]
        claims = {
            "iss": PARENT + self.parent._key.kid,
            "jti": LINK_ID,
            "iat": NOW,
            "exp": NOW + 240,
            "cnf": {"jwk": self.holder.public_jwk},
            "del_depth": self.parent._grant.depth + 1,
            "del_max_depth": 2,
            "par_hash": base64.urlsafe_b64encode(hashlib.sha256(signed.encode()).digest()).rstrip(b"=").decode(),
            "authorization_details": [
                {"type": "agentid_access", "actions": ["read"], "locations": ["crm/customers/c-1"], "effect": "allow"}
            ],
            "urn:x-agentid:agent": {"ver": 1, "name": "helper"},
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def token(self, *, key=None, header=None, **changes):
        key = key or self.parent._key
        head = segment({"alg": "ES256", "kid": key.kid, "typ": "agentid-del+jwt", **(header or {})})
        body = segment(self.claims(**changes))
        return f"{head}.{body}.{segment(key.sign(f'{head}.{body}'.encode()))}"

    def chain(self, **changes):
        return [*self.parent.grant_chain, self.token(**changes)]


@pytest.fixture
def links(bot):
    """Links after that of `bot`."""
    return Links(bot)


def details(action="read", location="crm/customers/c-1", effect="allow", **more):
    return [{"type": "agentid_access", "actions": [action], "locations": [location], "effect": effect, **more}]


def test_a_forged_link_is_good_but_for_what_a_test_changes(links, trust):
    grant = trust.verify_grant(links.chain())

    assert (LINK_ID, 1, ("helper",)) == (grant.token_id, grant.depth, grant.names)


OTHER = PrivateKey.generate()
REFUSED = {
    "not its issuer": ({"iss": PARENT + OTHER.kid}, "not issued by the key"),
    "the authority as issuer": ({"iss": "urn:x-agentid:authority:acme.example"}, "not issued by the key"),
    "another hash": ({"par_hash": "A" * 43}, "does not follow"),
    "a hash of another form": ({"par_hash": "A" * 42 + "="}, "`par_hash` is missing or wrong"),
    "no hash": ({"par_hash": None}, "`par_hash` is missing"),
    "a step left out": ({"del_depth": 2}, "not one step deeper"),
    "as if it were the first": ({"del_depth": 0}, "`del_depth` is missing or wrong"),
    "deeper chains": ({"del_max_depth": 3}, "more often than the link before allows"),
    "a limit below itself": ({"del_max_depth": 0}, "`del_max_depth` is missing or wrong"),
    "an earlier begin": ({"iat": NOW - 1}, "begins before"),
    "a later end": ({"exp": NOW + 3601}, "outlive"),
    "two of one id": ({"jti": "GRANT"}, "two links have one id"),
    "an id like a name": ({"jti": "support-bot"}, "`jti` is missing or wrong"),
    "an id like no other": ({"jti": LINK_ID.replace("4", "a").upper()}, "`jti` is missing or wrong"),
    "a key of its parent": ({"cnf": "PARENT"}, "one key holds two links"),
    "a private key": ({"cnf": {"jwk": {**OTHER.public_jwk, "d": "x" * 43}}}, "not a public"),
    "no key": ({"cnf": None}, "`cnf` is missing"),
    "a wider permission": ({"authorization_details": details(location="crm/**")}, "is not covered"),
    "another action": ({"authorization_details": details("delete")}, "is not covered"),
    "a looser constraint": (
        {"authorization_details": details("write", "pay/x", constraints={"amount": {"at_most": 101}})},
        "is not covered",
    ),
    "a dropped constraint": ({"authorization_details": details("write", "pay/x")}, "is not covered"),
    "an unknown constraint": (
        {"authorization_details": details("write", "pay/x", constraints={"amount": {"at_mots": 1}})},
        "of a permission in it",
    ),
    "asked, now allowed": ({"authorization_details": details("write", "mail/outbox/ada")}, "had to be asked about"),
    "a wider question": ({"authorization_details": details("write", "mail/**", "ask")}, "is not covered"),
    "an unknown type": ({"authorization_details": [{**details()[0], "type": "other"}]}, "missing or wrong"),
    "an unknown effect": ({"authorization_details": details(effect="maybe")}, "missing or wrong"),
    "a person": ({"urn:x-agentid:obo": {"sub": "user:eve"}}, "a member that it must not have"),
    "a subject": ({"sub": "spiffe://acme.example/agent/root"}, "a member that it must not have"),
    "an actor": ({"act": {"sub": "x"}}, "a member that it must not have"),
    "an audience": ({"aud": "x"}, "a member that it must not have"),
    "no name": ({"urn:x-agentid:agent": None}, "missing or wrong"),
    "a name that is a path": ({"urn:x-agentid:agent": {"ver": 1, "name": "a/b"}}, "letters, digits"),
    "an owner of its own": ({"urn:x-agentid:agent": {"ver": 1, "name": "a", "owner": "team:x"}}, "missing or wrong"),
    "signed by another": ({"key": OTHER}, "chain is broken"),
    "signed by another in its name": ({"key": OTHER, "header": {"kid": "PARENT"}}, "does not verify"),
    "another kind": ({"header": {"typ": "wit+jwt"}}, "chain is broken"),
    "an embedded key": ({"header": {"jwk": OTHER.public_jwk}}, "chain is broken"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_link_that_breaks_a_rule_is_refused_with_its_reason(case, links, trust, bot):
    changes, says = REFUSED[case]
    changes = dict(changes)
    if changes.get("jti") == "GRANT":
        changes["jti"] = bot.describe()["grant_id"]
    if changes.get("cnf") == "PARENT":
        changes["cnf"] = {"jwk": bot._key.public_jwk}
    if changes.get("header", {}).get("kid") == "PARENT":
        changes["header"] = {"kid": bot._key.kid}

    with pytest.raises(CredentialError) as refused:
        trust.verify_grant(links.chain(**changes))

    assert says in f"{refused.value.what} {refused.value.why} {refused.value.fix}"
    # What was good before is good still, and nothing of the refused link is remembered.
    assert 1 == trust.verify_grant(links.chain()).depth


def test_links_that_are_dropped_swapped_repeated_or_foreign_are_refused(authority, trust):
    bot = authority.issue("bot", allow=["read:**"], max_depth=4)
    chain = (
        bot.delegate("a", allow=["read:**"])
        .delegate("b", allow=["read:**"])
        .delegate("c", allow=["read:x"])
        .grant_chain
    )
    foreign = authority.issue("eve", allow=["read:**"], max_depth=4).delegate("a", allow=["read:**"]).grant_chain
    again = bot.delegate("a", allow=["read:**"]).grant_chain

    assert 3 == trust.verify_grant(chain).depth
    broken = [
        *(chain[:n] + chain[n + 1 :] for n in range(3)),
        (chain[1], chain[0], *chain[2:]),
        (chain[0], chain[2], chain[1], chain[3]),
        (*chain[:2], *chain[1:]),
        (*chain, chain[-1]),
        (chain[0], foreign[1]),
        (foreign[0], *chain[1:]),
        (chain[0], again[1], *chain[2:]),
        (*chain[:2], foreign[1]),
        chain[1:],
    ]
    for links in broken:
        with pytest.raises(CredentialError):
            trust.verify_grant(links)
    # What is left of a chain that is cut off at its end is a grant: that of whoever handed on.
    assert [0, 1, 2] == [trust.verify_grant(chain[:n]).depth for n in (1, 2, 3)]


def test_any_changed_byte_of_any_link_is_refused(bot, trust):
    chain = (
        bot.delegate("a", allow=["read:crm/customers/*"]).delegate("b", allow=["read:crm/customers/c-1"]).grant_chain
    )
    for number, link in enumerate(chain):
        for place in range(0, len(link), 3):
            for other in "A_.":
                if link[place] != other:
                    changed = [*chain]
                    changed[number] = link[:place] + other + link[place + 1 :]
                    with pytest.raises(CredentialError):
                        trust.verify_grant(changed)
    assert 2 == trust.verify_grant(chain).depth


# --- what ends it ----------------------------------------------------------------------------------------------------


def test_whoever_is_taken_back_takes_everybody_below_along(authority, bot):
    first = bot.delegate("a", allow=["read:crm/customers/*"])
    second, sibling = first.delegate("b"), bot.delegate("sibling")
    trust = authority.trust
    for agent in (bot, first, second, sibling):
        trust.verify_agent(agent)

    authority.revoke(first)
    for agent in (first, second):
        with pytest.raises(CredentialRevokedError):
            trust.verify_agent(agent)
    trust.verify_agent(sibling)
    trust.verify_agent(bot)

    authority.revoke(bot)
    with pytest.raises(CredentialRevokedError):
        trust.verify_agent(sibling)


def test_a_chain_ends_with_the_first_link_that_ends(bot, trust, clock):
    second = bot.delegate("a", ttl=timedelta(seconds=60)).delegate("b")
    trust.verify_agent(second)
    clock.forward(60)

    for agent in (second, second):  # remembered or not
        with pytest.raises(CredentialExpiredError):
            trust.verify_agent(agent)
        trust.forget()


def test_a_chain_ends_with_the_keys_of_its_authority(bot, authority, trust):
    helper = bot.delegate("a", allow=["read:crm/customers/*"])
    trust.verify_agent(helper)
    trust.replace_keys(Authority.create("acme.example").trust.keys)

    with pytest.raises(CredentialError):
        trust.verify_agent(helper)


def test_a_link_more_on_a_known_beginning_costs_one_signature(authority, trust, monkeypatch):
    from agentid.identity import delegation, verifier

    calls = []
    for module in (delegation, verifier):
        monkeypatch.setattr(
            module, "decode", lambda *args, real=module.decode, **kwargs: calls.append(1) or real(*args, **kwargs)
        )
    agent = authority.issue("bot", allow=["read:**"], max_depth=8)
    for number in range(5):
        agent = agent.delegate(f"n{number}", allow=["read:**"])
    trust.verify_grant(agent.grant_chain)
    assert 6 == len(calls)
    trust.verify_grant(agent.grant_chain)
    assert 6 == len(calls)
    trust.verify_grant(agent.delegate("more", allow=["read:x"]).grant_chain)
    assert 7 == len(calls)
    trust.verify_grant(agent.grant_chain[:3])
    assert 7 == len(calls)


# --- what would keep a verifier busy ---------------------------------------------------------------------------------


def handed_on(agent, details):
    """The chain of a link that hands this on, signed by the agent as `delegate` would."""
    verified = agent._grant
    claims = link_claims(
        verified, link_hash(agent.grant_chain[-1]), key=PrivateKey.generate().public_key(), name="child", purpose="",
        allow=(), ask=(), token_id=LINK_ID, issued_at=NOW, expires_at=NOW + 60, max_depth=verified.max_depth,
    )  # fmt: skip
    return [*agent.grant_chain, encode(agent._key, GRANT, {**claims, "authorization_details": details})]


@pytest.mark.parametrize("times", [2, 2000])
@pytest.mark.parametrize("twice", ["actions", "locations", "both"])
def test_what_is_said_twice_is_refused_before_anything_is_made_of_it(bot, trust, twice, times):
    actions = ["write"] * (1 if twice == "locations" else times)
    locations = ["notes/a"] * (1 if twice == "actions" else times)
    details = [{"type": "agentid_access", "actions": actions, "locations": locations, "effect": "allow"}]

    with pytest.raises(CredentialError, match="said twice"):
        trust.verify_grant(handed_on(bot, details))


def test_pairs_of_constraints_count_by_their_parts(authority, trust):
    """A hundred permissions with as many parts each are ten million comparisons, and minutes."""
    parts = [starts_with(f"q{number}") for number in range(40)]
    wide = [Permission.parse("write:**").where(a=any_of(*parts, starts_with(f"n{number}"))) for number in range(100)]
    bot = authority.issue("bot", allow=wide, max_depth=2)
    wanted = [
        one.where(a=any_of(*parts, starts_with(f"n{n}x"))) for n, one in enumerate([Permission.parse("write:**")] * 100)
    ]
    details = access_details(wanted, ())

    with pytest.raises(DelegationError, match="pairs of permissions"):
        trust.verify_grant(handed_on(bot, details))


def test_a_link_that_another_key_signed_says_so(bot, trust, authority):
    stranger = authority.issue("stranger").delegate("child")
    chain = [*bot.grant_chain, stranger.grant_chain[-1]]

    with pytest.raises(DelegationError, match="not signed by the key that holds the link before"):
        trust.verify_grant(chain)


def test_a_chain_is_kept_with_the_size_of_all_its_links(bot, trust):
    """Each that is remembered holds every link of its own."""
    trust.verify_grant(bot.delegate("a").grant_chain)
    links = bot.grant_chain[0]

    assert trust._verifier._grants._total >= 2 * len(links)


# --- limits that only a certain agent comes to ------------------------------------------------------------------------


@pytest.mark.parametrize("deepest", [1, 2])
def test_a_link_allows_no_less_depth_than_it_has(bot, trust, deepest):
    """Below the first link, where the form of the claims alone would not show it."""
    links = Links(bot.delegate("sub", allow=["read:crm/customers/*"]))

    if deepest == 2:
        assert (2, 2) == (trust.verify_grant(links.chain()).depth, trust.verify_grant(links.chain()).max_depth)
        return
    with pytest.raises(DelegationError, match="more often than the link before allows"):
        trust.verify_grant(links.chain(del_max_depth=deepest))


@pytest.fixture
def short_lived(bot, make_forge, clock):
    """An agent whose credential ends ten minutes before its grant: an authority may have replaced the grant alone."""
    forge = make_forge("credential")
    claims = forge.claims(cnf={"jwk": bot._key.public_jwk}, exp=NOW + 3000)
    credential = Credential.from_claims(credential_shape().read(claims))
    chain = bot.grant_chain
    return Agent(
        bot._key, credential=credential, token=forge.token(payload=claims), grant=bot._grant, chain=chain, clock=clock
    )


def test_what_is_handed_on_ends_no_later_than_the_credential_at_the_root(short_lived, trust):
    """Whatever the grant would allow; to the second."""
    assert trust.verify_agent(short_lived).expires_at == NOW + 3000 < short_lived._grant.expires_at
    with pytest.raises(DelegationError, match="it would outlive the agent's own credential"):
        short_lived.delegate("longer", ttl=timedelta(seconds=3001))

    helper = short_lived.delegate("helper", ttl=timedelta(seconds=3000))
    assert NOW + 3000 == helper.expires_at.timestamp() == trust.verify_agent(helper).expires_at
    with pytest.raises(DelegationError, match="outlive"):
        helper.delegate("longer", ttl=timedelta(seconds=3001))


def test_without_a_lifetime_it_ends_with_the_credential_at_the_root(short_lived, clock):
    clock.forward(2500)

    assert NOW + 3000 == short_lived.delegate("helper").expires_at.timestamp()

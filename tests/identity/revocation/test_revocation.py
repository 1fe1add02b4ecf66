"""Taking back: an agent, a credential, a grant or a name, here and in every anchor that reads it from elsewhere."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from datetime import timedelta
from uuid import uuid4

import pytest

from agentid.errors import ConfigurationError, CredentialError, CredentialRevokedError
from agentid.identity import Agent, Authority, TrustAnchor
from agentid.identity.delegation import link_claims, link_hash
from agentid.identity.revocation.revoked import NOTHING, POLL, Reading, Revoked
from agentid.identity.token import GRANT, encode
from agentid.signing import PrivateKey

URI = "https://acme.example/status/1"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "authority.pem"


@pytest.fixture
def opened(path, clock):
    """Open the authority once more, as another process would."""
    return lambda **settings: Authority.open(path, trust_domain="acme.example", clock=clock, **settings)


@pytest.fixture(params=["in memory", "in a file", "another opened it", "published"])
def way(request, opened, clock):
    """An authority, an anchor that knows of what it revokes, and how long that takes."""
    if request.param == "in memory":
        authority = Authority.create("acme.example", clock=clock)
        return authority, authority.trust, 0
    authority = opened(status_uri=URI)
    if request.param == "in a file":
        return authority, authority.trust, 0
    if request.param == "another opened it":
        return authority, opened().trust, POLL
    anchor = TrustAnchor.from_jwks(
        authority.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=authority.status_list
    )
    return authority, anchor, 60


def is_good(anchor, agent):
    try:
        return anchor.verify_agent(agent) is not None
    except CredentialRevokedError:
        return False


# --- what is taken back -------------------------------------------------------------------------------


def test_an_agent_is_taken_back_with_what_is_below_it(way, clock):
    authority, anchor, delay = way
    bot = authority.issue("bot", allow=["read:a/*"])
    helper = bot.delegate("helper", allow=["read:a/b"])
    other = authority.issue("bot", allow=["read:a/*"])
    assert [True, True, True] == [is_good(anchor, agent) for agent in (bot, helper, other)]

    authority.revoke(bot)
    clock.forward(delay)
    assert [False, False, True] == [is_good(anchor, agent) for agent in (bot, helper, other)]
    with pytest.raises(CredentialRevokedError):
        anchor.verify_credential(bot.credential_token)
    with pytest.raises(CredentialRevokedError):
        anchor.verify_grant(helper.grant_chain)


def test_a_sub_agent_is_taken_back_with_what_is_below_it_and_nobody_above(way, clock):
    authority, anchor, delay = way
    bot = authority.issue("bot", allow=["read:a/*"])
    first, sibling = bot.delegate("first"), bot.delegate("sibling")
    second = first.delegate("second")
    authority.revoke(first)
    clock.forward(delay)

    assert [True, False, False, True] == [is_good(anchor, agent) for agent in (bot, first, second, sibling)]


@pytest.mark.parametrize("part", ["credential", "grant"])
def test_a_part_of_an_agent_is_taken_back(way, part, clock):
    """Which takes the agent back, and what is below it."""
    authority, anchor, delay = way
    bot = authority.issue("bot")
    verified = authority.trust.verify_agent(bot)
    authority.revoke({"credential": verified.credential, "grant": verified.grant}[part])
    clock.forward(delay)

    assert not is_good(anchor, bot)
    assert not is_good(anchor, bot.delegate("helper"))
    if part == "grant":
        assert anchor.verify_credential(bot.credential_token)
    else:
        assert anchor.verify_grant(bot.grant_chain)


@pytest.mark.parametrize("of", ["credential", "grant"])
def test_a_part_of_a_sub_agent_is_its_own_link(way, of, clock):
    authority, anchor, delay = way
    bot = authority.issue("bot")
    helper = bot.delegate("helper")
    authority.revoke(getattr(authority.trust.verify_agent(helper), of))
    clock.forward(delay)

    assert [True, False] == [is_good(anchor, agent) for agent in (bot, helper)]


def test_a_jwt_svid_is_taken_back_with_its_agent(way, clock):
    authority, anchor, delay = way
    bot = authority.issue("bot")
    svid = authority.jwt_svid(bot, audience="peer")
    authority.revoke(bot)
    clock.forward(delay)

    with pytest.raises(CredentialRevokedError):
        anchor.verify_jwt_svid(svid, audience="peer")


@pytest.mark.parametrize("taken", ["agent", "credential", "grant", "middle", "own"])
def test_a_jwt_svid_of_a_sub_agent_is_taken_back_with_everybody_above(way, taken, clock):
    authority, anchor, delay = way
    bot = authority.issue("bot", max_depth=3)
    middle = bot.delegate("middle")
    last = middle.delegate("last")
    svid, sibling = (authority.jwt_svid(agent, audience="peer") for agent in (last, bot.delegate("sibling")))
    assert anchor.verify_jwt_svid(svid, audience="peer").name == "last"
    verified = authority.trust.verify_agent(bot)
    target = {"agent": bot, "credential": verified.credential, "grant": verified.grant, "middle": middle, "own": last}
    authority.revoke(target[taken])
    clock.forward(delay)

    with pytest.raises(CredentialRevokedError):
        anchor.verify_jwt_svid(svid, audience="peer")
    if taken in {"middle", "own"}:
        assert anchor.verify_jwt_svid(sibling, audience="peer").name == "sibling"


def test_a_link_that_took_the_id_of_somebody_else_is_taken_back_and_nobody_else(way, clock):
    """Whoever hands something on chooses the id of the link: that of another agent's credential, too."""
    authority, anchor, delay = way
    victim, bot = authority.issue("victim"), authority.issue("bot")
    verified = authority.trust.verify_agent(victim)
    for stolen in (verified.credential.token_id, verified.credential.instance, verified.grant.token_id):
        key = PrivateKey.generate()
        grant, now = authority.trust.verify_agent(bot).grant, int(clock())
        claims = link_claims(
            grant, link_hash(bot.grant_chain[-1]), key=key.public_key(), name="child", purpose="", allow=(), ask=(),
            token_id=stolen, issued_at=now, expires_at=now + 600, max_depth=1,
        )  # fmt: skip
        chain = [*bot.grant_chain, encode(bot._key, GRANT, claims)]
        authority.revoke(anchor.verify_grant(chain))
        clock.forward(delay)

        with pytest.raises(CredentialRevokedError):
            anchor.verify_grant(chain)
        assert is_good(anchor, victim)


@pytest.mark.parametrize("written", [str, str.upper])
@pytest.mark.parametrize("which", ["credential", "instance", "grant"])
def test_an_id_as_the_audit_log_shows_it_takes_back_what_has_it(way, which, written, clock):
    """Also in capitals, as other tools write it: it would be nobody's name, and take nothing back."""
    authority, anchor, delay = way
    bot, other = authority.issue("bot"), authority.issue("bot")
    verified = authority.trust.verify_agent(bot)
    ids = {
        "credential": verified.credential.token_id,
        "instance": verified.credential.instance,
        "grant": verified.grant.token_id,
    }
    authority.revoke(written(ids[which]))
    clock.forward(delay)

    assert [False, True] == [is_good(anchor, agent) for agent in (bot, other)]


@pytest.mark.parametrize("depth", [1, 2])
def test_an_id_of_a_link_as_the_audit_log_shows_it_takes_back_what_hangs_on_it(way, depth, clock):
    """Records have the id that whoever signed the link gave it, and not those above."""
    authority, anchor, delay = way
    bot = authority.issue("bot", max_depth=3)
    chain = [bot, bot.delegate("a"), bot.delegate("b")]
    chain += [chain[1].delegate("a"), chain[1].delegate("b").delegate("c")]
    svid = authority.jwt_svid(chain[1], audience="peer")
    shown = chain[1 if depth == 1 else 3].describe()
    assert shown["credential_id"] == shown["grant_id"]
    authority.revoke(shown["credential_id"])
    clock.forward(delay)

    good = [True, False, True, False, False] if depth == 1 else [True, True, True, False, True]
    assert good == [is_good(anchor, agent) for agent in chain]
    with pytest.raises(CredentialRevokedError) if depth == 1 else contextlib.nullcontext():
        anchor.verify_jwt_svid(svid, audience="peer")


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e300, -1e300])
def test_an_id_is_taken_back_also_by_a_clock_that_says_nothing(opened, clock, broken):
    authority, bot = opened(), opened().issue("bot")
    right, clock.now = clock.now, broken
    authority.revoke(bot.describe()["credential_id"])
    clock.now = right

    assert [False, False] == [is_good(anchor, bot) for anchor in (authority.trust, opened().trust)]


def test_the_thumbprint_of_a_key_is_refused_and_takes_back_nothing(authority, bot):
    with pytest.raises(ConfigurationError, match=r"keys are not revoked\..*by its SPIFFE ID"):
        authority.revoke(bot.describe()["key_id"])
    named = authority.issue(bot.describe()["key_id"].replace("_", "-"))
    authority.revoke(str(named.id))
    assert not is_good(authority.trust, named)


def test_what_looks_like_a_file_is_no_name(authority, bot, tmp_path):
    """It would be the name of nobody, and whoever meant the file would believe that the agent is revoked."""
    file = bot.save(tmp_path / "bot.json")
    for slip in (str(file)[1:], "bot.json", "agents/bot.json"):
        with pytest.raises(ConfigurationError, match="looks like the file of an agent, and text is a name"):
            authority.revoke(slip)
    named = authority.issue("bot.json")
    authority.revoke(str(named.id))

    assert [True, False] == [is_good(authority.trust, agent) for agent in (bot, named)]


def test_the_path_of_an_agent_is_its_name(way, clock):
    """Also of one that is below an agent which is called `agent`: both are meant, and both are lifted."""
    authority, anchor, delay = way
    bot, below = authority.issue("bot"), authority.issue("agent").delegate("bot")
    authority.revoke("agent/bot")
    clock.forward(delay)
    assert [False, False] == [is_good(anchor, agent) for agent in (bot, below)]

    authority.reinstate("agent/bot")
    clock.forward(delay)
    assert [True, True] == [is_good(anchor, agent) for agent in (bot, below)]


def test_whoever_opens_the_keys_through_a_link_sees_what_is_taken_back(path, opened, clock, tmp_path):
    authority = opened()
    (tmp_path / "current.pem").symlink_to(path)
    linked = Authority.open(tmp_path / "current.pem", trust_domain="acme.example", clock=clock)
    bot = linked.issue("bot")
    authority.revoke(bot)
    clock.forward(POLL)

    assert not is_good(linked.trust, bot)
    assert not (tmp_path / "current.pem.revoked").exists()


def test_a_list_that_is_published_after_a_routine_rotation_is_read_with_the_keys_of_before(opened, clock):
    """Nobody has to refresh at once: agents that were issued before go on."""
    authority = opened(status_uri=URI)
    anchor = TrustAnchor.from_jwks(
        authority.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=authority.status_list
    )
    bot = authority.issue("bot")
    assert is_good(anchor, bot)
    authority.rotate(overlap=timedelta(hours=24))
    clock.forward(61)

    assert is_good(anchor, bot)
    authority.revoke(bot)
    clock.forward(61)
    assert not is_good(anchor, bot)


def test_a_source_may_refresh_the_keys_that_it_is_read_with(opened, clock):
    authority = opened(status_uri=URI)

    def status():
        anchor.refresh(authority.trust.to_jwks())
        return authority.status_list()

    anchor = TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=status)
    bot = authority.issue("bot")

    assert is_good(anchor, bot)
    clock.forward(61)
    assert is_good(anchor, bot)


def test_a_source_that_takes_long_to_fail_is_asked_once_for_all_that_wait(clock):
    authority = Authority.create("acme.example", clock=clock)
    bot, asked, all_wait = authority.issue("bot"), [], threading.Barrier(6)

    def status():
        asked.append(1)
        clock.forward(30)  # as a client does that waits for an answer
        raise OSError("nobody answers")

    anchor = TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=status)

    def verify():
        all_wait.wait()
        with pytest.raises(CredentialError):
            anchor.verify_agent(bot)

    threads = [threading.Thread(target=verify) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(asked) <= 2


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["bot", "spiffe://acme.example/agent/bot", "SPIFFE://ACME.example/agent/bot"])
def test_a_name_takes_back_every_agent_of_it(way, target, clock):
    """Those that were issued, those that will be, and whatever is below them."""
    authority, anchor, delay = way
    before, other = authority.issue("bot"), authority.issue("bot2")
    svid = authority.jwt_svid(before, audience="peer")
    authority.revoke(target)
    clock.forward(delay)
    after = authority.issue("bot")

    assert [False, False, True] == [is_good(anchor, agent) for agent in (before, after, other)]
    assert [False, False] == [is_good(anchor, agent.delegate("helper")) for agent in (before, after)]
    with pytest.raises(CredentialRevokedError):
        anchor.verify_credential(after.credential_token)
    with pytest.raises(CredentialRevokedError):
        anchor.verify_jwt_svid(svid, audience="peer")


def test_the_name_of_a_sub_agent_takes_back_that_and_what_is_below_it(way, clock):
    authority, anchor, delay = way
    bot = authority.issue("bot")
    authority.revoke("bot/helper")
    clock.forward(delay)
    helper = bot.delegate("helper")

    assert [True, False, False, True, True] == [
        is_good(anchor, agent)
        for agent in (bot, helper, helper.delegate("more"), bot.delegate("helpers"), authority.issue("helper"))
    ]


def test_a_name_that_is_lifted_is_good_again(way, clock):
    """But not what was taken back by itself."""
    authority, anchor, delay = way
    bot, other = authority.issue("bot"), authority.issue("bot")
    authority.revoke("bot")
    authority.revoke(other)
    clock.forward(delay)
    assert [False, False] == [is_good(anchor, agent) for agent in (bot, other)]

    authority.reinstate("bot")
    clock.forward(delay)
    assert [True, False] == [is_good(anchor, agent) for agent in (bot, other)]


def test_who_is_refused_by_name_learns_which_and_how_it_is_lifted(authority):
    authority.revoke("bot")
    helper = authority.issue("bot").delegate("helper")

    with pytest.raises(CredentialRevokedError, match=r"all that is called `bot` was.*reinstate.*--lift"):
        authority.trust.verify_agent(helper)


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("name", ["bot", "helper", "bot/helper2", "bot2"])
def test_only_a_name_that_was_revoked_is_lifted(opened, clock, store, name):
    """A slip of the pen must not look like success."""
    authority = opened() if store else Authority.create("acme.example", clock=clock)
    authority.revoke("bot/helper")

    with pytest.raises(ConfigurationError, match="Nothing was reinstated"):
        authority.reinstate(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "bot/", "/bot", "bot//helper", ".", "..", "bot/..", "bot\n", "b t", "é", "*", "bot/*", "b" * 129,
        "spiffe://acme.example", "spiffe://acme.example/bot", "spiffe://acme.example/agent",
        "https://acme.example/agent/bot",
        "spiffe://other.example/agent/bot", "spiffe://acme.example/agent/bot/", "spiffe://acme.example/service/bot",
        "\x00", "b" * 1_000_000,
    ],
)  # fmt: skip
def test_a_name_that_can_be_nobodys_is_refused(authority, name):
    """Whoever stops an agent must hear that it was not stopped."""
    generation = authority.trust.generation
    for attempt in (authority.revoke, authority.reinstate):
        with pytest.raises(ConfigurationError) as caught:
            attempt(name)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 600

    assert generation == authority.trust.generation


def test_something_of_another_trust_domain_is_not_ours_to_revoke(authority, clock):
    other = Authority.create("other.example", clock=clock)
    agent = other.issue("bot")

    verified = other.trust.verify_agent(agent)
    helper = other.trust.verify_grant(agent.delegate("helper").grant_chain)
    for target in (agent, verified.credential, verified.grant, helper):
        with pytest.raises(ConfigurationError, match=r"Nothing was revoked: this .*`other\.example`|did not issue"):
            authority.revoke(target)
    assert authority.trust.generation == 0
    other.revoke(helper)
    assert other.trust.is_revoked("/".join(helper.chain_ids))


def test_the_names_of_an_anchor_can_be_asked_for(authority):
    authority.revoke("bot")
    assert authority.trust.is_name_revoked("bot")
    assert not authority.trust.is_name_revoked("bot/helper")


# --- across processes ---------------------------------------------------------------------------------


def test_what_was_revoked_is_revoked_after_a_restart(opened):
    authority = opened()
    bot, helper = authority.issue("bot"), authority.issue("other").delegate("helper")
    authority.revoke(bot)
    authority.revoke("other/helper")
    again = opened()

    assert [False, False] == [is_good(again.trust, agent) for agent in (bot, helper)]
    assert not is_good(again.trust, again.issue("other").delegate("helper"))


def test_another_process_knows_within_a_second(opened, clock):
    """Not before it is time to look, by the clock that was passed in."""
    authority, other = opened(), opened()
    bot = authority.issue("bot")
    assert is_good(other.trust, bot)
    authority.revoke(bot)

    assert clock.now + POLL == other.trust.due
    clock.forward(POLL - 0.25)
    assert is_good(other.trust, bot)
    clock.forward(0.25)
    assert not is_good(other.trust, bot)


def test_a_name_is_lifted_by_another_process(opened, clock):
    authority, other = opened(), opened()
    bot = authority.issue("bot")
    authority.revoke("bot")
    other.reinstate("bot")
    assert is_good(other.trust, bot)
    clock.forward(POLL)

    assert is_good(authority.trust, bot)


def test_a_clock_that_was_set_back_asks_at_once(opened, clock):
    authority, other = opened(), opened()
    bot = authority.issue("bot")
    assert is_good(other.trust, bot)
    authority.revoke(bot)
    clock.forward(-1)

    assert not is_good(other.trust, bot)


def test_the_generation_counts_up_only_if_something_has_changed(opened, clock):
    """With a store and without one: a session that is counted up verifies its agent anew."""
    authority, other = opened(), opened()
    for _ in range(3):
        other.trust.look()
        clock.forward(POLL)
    assert 0 == other.trust.generation
    authority.revoke("bot")
    other.trust.look()
    seen = other.trust.generation
    clock.forward(POLL)
    other.trust.look()
    assert seen == other.trust.generation

    authority.revoke("bot2")
    clock.forward(POLL)
    other.trust.look()
    assert seen < other.trust.generation


def test_an_id_that_the_store_has_is_not_kept_twice(opened, clock):
    """Or memory would grow with each agent that was ever revoked."""
    authority = opened()
    for _ in range(3):
        authority.revoke(authority.issue("bot"))
    assert 9 == len(authority.trust._revocations._ids)
    clock.forward(POLL)
    authority.trust.look()

    assert 0 == len(authority.trust._revocations._ids)


# --- a source that does not answer ---------------------------------------------------------------------


class Source:
    """Says whatever a test wants it to say."""

    def __init__(self):
        self.answer = Revoked()
        self.asked = 0

    def read(self, now, keys):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return Reading(self.answer, now + 10)


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def anchor(authority, source, clock):
    return TrustAnchor("acme.example", authority.trust.keys, clock=clock, source=source)


def test_nothing_is_accepted_while_nothing_is_known(anchor, source, bot, clock):
    """And everything again once it is."""
    assert is_good(anchor, bot)
    torn = CredentialError("The list was refused", why="it is torn", fix="Mend it")
    for error in (torn, OSError(5, "secret"), ValueError()):
        source.answer = error
        clock.forward(10)
        for _ in range(2):
            for attempt in (
                lambda: anchor.verify_agent(bot),
                lambda: anchor.verify_credential(bot.credential_token),
                lambda: anchor.verify_grant(bot.grant_chain),
            ):
                with pytest.raises(CredentialError, match="what was revoked cannot be known") as caught:
                    attempt()
                assert type(caught.value) is CredentialError
                assert "secret" not in str(caught.value)
        if isinstance(error, CredentialError):
            assert "the list was refused: it is torn. Mend it" in str(caught.value)
        source.answer = Revoked()
        clock.forward(POLL)
        assert is_good(anchor, bot)


def test_what_was_revoked_here_is_revoked_also_while_nothing_is_known(anchor, source, bot):
    """Whoever reads the error should learn what is certain."""
    source.answer = OSError()
    anchor.revoke(*bot.own_ids)

    with pytest.raises(CredentialRevokedError):
        anchor.verify_agent(bot)


def test_a_source_is_asked_once_for_each_time_that_it_is_due(anchor, source, bot, clock):
    for _ in range(5):
        is_good(anchor, bot)
    assert 1 == source.asked
    clock.forward(9.9)
    is_good(anchor, bot)
    assert 1 == source.asked
    clock.forward(0.1)
    is_good(anchor, bot)
    assert 2 == source.asked
    source.answer = OSError()
    clock.forward(10)
    for _ in range(5):
        with pytest.raises(CredentialError):
            anchor.verify_agent(bot)
    assert 3 == source.asked


def test_a_change_between_good_and_unknown_counts_up(anchor, source, bot, clock):
    """Whoever remembers a result has to look again."""
    source.answer = NOTHING
    is_good(anchor, bot)
    seen = [anchor.generation]
    for answer in (OSError(), NOTHING):
        source.answer = answer
        clock.forward(10)
        anchor.look()
        seen.append(anchor.generation)

    assert sorted(set(seen)) == seen


def test_a_clock_that_says_nothing_is_refused(anchor, bot, clock):
    clock.now = float("nan")

    with pytest.raises(CredentialError):
        anchor.verify_agent(bot)


def test_what_was_revoked_is_kept_a_day_longer_than_it_lives(opened, clock):
    """For clocks that are wrong; a clock that is set back does not make it good."""
    authority = opened()
    bot = authority.issue("bot", ttl=timedelta(minutes=1))
    authority.revoke(bot)
    clock.forward(60 + 24 * 3600)
    authority.revoke("other")
    assert opened().trust.ask_again() is None
    clock.now -= 60 + 24 * 3600
    assert not is_good(opened().trust, bot)


# --- what the signed tokens say ---------------------------------------------------------------------------


def changed_by_hand(token, **members):
    """The token with other claims under the signature of before."""
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims.update(members)
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{head}.{payload}.{signature}"


@pytest.mark.parametrize("part", ["credential", "grant", "link"])
def test_an_agent_whose_ids_were_changed_in_its_file_is_not_revoked_without_effect(part, authority, bot, tmp_path):
    """Its ids would be nobody's, and whoever revoked it would believe that it is over."""
    helper = bot.delegate("helper")
    content = json.loads(helper.save(tmp_path / "helper.json").read_text())
    if part == "credential":
        claims = {**bot._credential.to_claims()["urn:x-agentid:agent"], "instance": "another"}
        content["credential"] = changed_by_hand(content["credential"], jti="another", **{"urn:x-agentid:agent": claims})
    else:
        number = ("grant", "link").index(part)
        content["grant"][number] = changed_by_hand(content["grant"][number], jti=str(uuid4()))
    (tmp_path / "helper.json").write_text(json.dumps(content))
    try:
        loaded = Agent.load(tmp_path / "helper.json")
    except CredentialError:
        assert part == "grant"  # the hash of the link after it says so already
        return

    with pytest.raises(ConfigurationError, match="Nothing was revoked: this authority did not issue the agent"):
        authority.revoke(loaded)
    assert authority.trust.verify_agent(helper)


def test_an_agent_is_revoked_also_when_it_has_ended_or_was_revoked_or_is_not_yet(authority, bot, clock):
    """A clock may be wrong, and whoever is not sure does it twice."""
    clock.forward(-3600)
    authority.revoke(bot)
    clock.forward(2 * 24 * 3600)
    authority.revoke(bot)
    clock.forward(3600 - 2 * 24 * 3600)

    with pytest.raises(CredentialRevokedError):
        authority.trust.verify_agent(bot)


def test_an_agent_of_another_authority_of_the_same_name_is_not_ours_to_revoke(authority, clock):
    other = Authority.create("acme.example", clock=clock)
    agent = other.issue("bot")

    with pytest.raises(ConfigurationError, match="did not issue the agent"):
        authority.revoke(agent)
    assert not authority.trust.is_revoked(agent.own_ids[0])


def test_an_agent_put_together_from_two_is_not_revoked(authority, bot, clock):
    other = authority.issue("other")
    mixed = Agent(
        bot._key, credential=bot._credential, token=bot.credential_token, grant=other._grant, chain=other.grant_chain
    )

    with pytest.raises(ConfigurationError, match="issued to another agent"):
        authority.revoke(mixed)


def test_the_file_of_an_agent_is_revoked_without_its_passphrase(way, clock, tmp_path):
    """By its tokens; the key is not needed, nor is it looked at."""
    authority, anchor, delay = way
    bot = authority.issue("bot", allow=["read:a/*"])
    helper = bot.delegate("helper", allow=["read:a/b"])
    path = helper.save(tmp_path / "helper.json", passphrase="correct horse")
    path.write_text(json.dumps({**json.loads(path.read_text()), "key": ""}))
    authority.revoke(path)
    clock.forward(delay)
    assert [True, False] == [is_good(anchor, bot), is_good(anchor, helper)]

    authority.revoke(bot.save(tmp_path / "bot.json", passphrase="correct horse"))
    clock.forward(delay)
    assert not is_good(anchor, bot)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff", b"x" * (1 << 22)])
def test_a_path_that_leads_to_no_agent_is_refused(authority, tmp_path, content):
    path = tmp_path / "agent.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError, match="The agent file"):
        authority.revoke(path)


def test_without_the_keys_an_agent_is_revoked_by_its_name(path, opened, clock):
    """What it is cannot be verified then; a name needs no keys."""
    authority = opened()
    bot = authority.issue("bot")
    content = path.read_bytes()
    path.unlink()
    clock.forward(1)
    with pytest.raises(ConfigurationError, match=r"Nothing was revoked: the key file .* Revoke all of its name"):
        authority.revoke(bot)
    authority.revoke("bot")
    authority.revoke("other")
    authority.reinstate("other")
    path.write_bytes(content)
    path.chmod(0o600)
    clock.forward(1)

    for anchor in (authority.trust, opened().trust):
        assert not is_good(anchor, bot)
        assert is_good(anchor, authority.issue("other"))

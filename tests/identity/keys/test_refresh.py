"""Refreshing a consumer's trust anchor from newer published keys: never older ones, never another's."""

from __future__ import annotations

import contextlib
import json
import threading
from datetime import timedelta

import pytest

from agentid.errors import CredentialError
from agentid.identity import Authority, TrustAnchor
from agentid.signing import PrivateKey


@pytest.fixture
def consumer(authority, clock):
    return TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="acme.example", clock=clock)


def refusal(consumer, jwks, **settings):
    """Why newer keys are refused; those of before are kept, whatever it was."""
    before, generation = consumer.to_jwks(), consumer.generation
    with pytest.raises(CredentialError) as caught:
        consumer.refresh(jwks, **settings)
    assert (before, generation) == (consumer.to_jwks(), consumer.generation)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("form", [lambda jwks: jwks, json.dumps, lambda jwks: json.dumps(jwks).encode()])
def test_newer_keys_are_taken(authority, consumer, form):
    """In an overlap nobody notices: old agents and new ones are good."""
    old = authority.issue("bot")
    authority.rotate()
    new = authority.issue("bot")
    with pytest.raises(CredentialError, match="no key of its issuer"):
        consumer.verify_agent(new)

    assert consumer.refresh(form(authority.trust.to_jwks()))
    assert authority.trust.to_jwks() == consumer.to_jwks()
    assert consumer.verify_agent(old)
    assert consumer.verify_agent(new)


def test_what_newer_keys_do_not_have_is_refused_from_the_next_call(authority, consumer):
    """Also where it was remembered. An emergency of our own needs no other word: the old audit key is still there."""
    agent = authority.issue("bot")
    consumer.verify_agent(agent)
    authority.rotate(overlap=timedelta(0))
    consumer.refresh(authority.trust.to_jwks())

    with pytest.raises(CredentialError, match="no key of its issuer"):
        consumer.verify_agent(agent)


def test_the_generation_counts_up_only_if_keys_have_changed(authority, consumer):
    generation = consumer.generation
    assert not consumer.refresh(authority.trust.to_jwks())
    assert not consumer.refresh({**authority.trust.to_jwks(), "spiffe_sequence": 7})
    assert (generation, 7) == (consumer.generation, consumer.to_jwks()["spiffe_sequence"])

    authority.rotate()
    assert consumer.refresh({**authority.trust.to_jwks(), "spiffe_sequence": 8})
    assert generation + 1 == consumer.generation


def test_the_same_keys_under_a_new_number_make_nobody_verify_again(authority, consumer):
    agent = authority.issue("bot")
    verified = consumer.verify_agent(agent)
    consumer.refresh({**authority.trust.to_jwks(), "spiffe_sequence": 7})

    assert verified.credential is consumer.verify_agent(agent).credential


def test_the_order_in_which_keys_are_published_does_not_matter(authority, consumer):
    jwks = authority.trust.to_jwks()

    assert not consumer.refresh({**jwks, "keys": jwks["keys"][::-1]})


def test_older_keys_are_refused(authority, consumer):
    """Whoever serves them may want an old key to be good again."""
    old = authority.trust.to_jwks()
    authority.rotate(overlap=timedelta(0))
    consumer.refresh(authority.trust.to_jwks())

    assert "older than" in refusal(consumer, old)
    assert "older than" in refusal(consumer, old, trust_domain="acme.example")


def test_other_keys_under_the_same_number_are_refused(authority, consumer):
    number = consumer.to_jwks()["spiffe_sequence"]
    authority.rotate()

    assert "has the number" in refusal(consumer, {**authority.trust.to_jwks(), "spiffe_sequence": number})


def test_keys_without_a_number_are_refused_where_there_was_one(authority, consumer):
    authority.rotate()
    jwks = authority.trust.to_jwks()
    del jwks["spiffe_sequence"]

    assert "does not say" in refusal(consumer, jwks)


def test_keys_of_a_publisher_that_never_counts_are_taken(authority, clock):
    """There is no order to keep."""
    jwks = authority.trust.to_jwks()
    del jwks["spiffe_sequence"]
    consumer = TrustAnchor.from_jwks(jwks, trust_domain="acme.example", clock=clock)
    assert jwks == consumer.to_jwks()
    authority.rotate()
    newer = authority.trust.to_jwks()
    del newer["spiffe_sequence"]

    assert consumer.refresh(newer)
    assert consumer.refresh({**authority.trust.to_jwks(), "spiffe_sequence": 1}) is False
    assert "does not say" in refusal(consumer, newer)


def test_keys_of_another_trust_domain_are_refused(consumer, clock):
    """They have none of ours; and if the caller says whose they are, it has to be ours."""
    other = Authority.create("other.example", clock=clock)
    other.rotate()
    jwks = other.trust.to_jwks()

    assert "none of the keys of before" in refusal(consumer, jwks)
    assert "another trust domain" in refusal(consumer, jwks, trust_domain="other.example")


def test_with_a_word_for_whose_they_are_all_keys_may_be_new(authority, consumer):
    agent = authority.issue("bot")
    replaced = Authority.create("acme.example", clock=authority.trust.clock)
    jwks = {**replaced.trust.to_jwks(), "spiffe_sequence": 2}

    assert "none of the keys of before" in refusal(consumer, jwks)
    assert consumer.refresh(jwks, trust_domain="ACME.example")
    assert consumer.verify_agent(replaced.issue("bot"))
    with pytest.raises(CredentialError, match="no key of its issuer"):
        consumer.verify_agent(agent)


def test_no_keys_at_all_mean_that_nothing_is_good_any_more(authority, consumer):
    """As SPIFFE says; but not from whoever just serves an empty page."""
    agent = authority.issue("bot")
    empty = {"spiffe_sequence": 9, "keys": []}

    assert "none of the keys of before" in refusal(consumer, empty)
    assert consumer.refresh(empty, trust_domain="acme.example")
    with pytest.raises(CredentialError, match="no key of its issuer"):
        consumer.verify_agent(agent)


@pytest.mark.parametrize(
    "jwks", [None, "", "{", "[]", 1, {}, {"keys": None}, {"keys": [{"kty": "EC", "d": "x"}]}, "x" * 300_000]
)
def test_what_is_no_set_of_keys_is_refused(consumer, jwks):
    refusal(consumer, jwks)
    refusal(consumer, jwks, trust_domain="acme.example")


@pytest.mark.parametrize("name", ["", "a/b", 1, b"acme.example", "acme.example\n"])
def test_a_trust_domain_that_is_none_is_refused(authority, consumer, name):
    authority.rotate()
    refusal(consumer, authority.trust.to_jwks(), trust_domain=name)


def test_a_map_of_trust_domains_is_not_read_as_one(authority, consumer):
    both = {"trust_domains": {"acme.example": authority.trust.to_jwks()}, **authority.trust.to_jwks()}

    assert "several trust domains" in refusal(consumer, both)
    with pytest.raises(CredentialError, match="several trust domains"):
        TrustAnchor.from_jwks(both, trust_domain="acme.example")


def test_one_key_has_one_use_also_in_newer_keys(authority, consumer):
    authority.rotate()
    jwks = authority.trust.to_jwks()
    key = next(entry for entry in jwks["keys"] if entry["use"] == "wit-svid")
    jwks["keys"].append({**key, "use": "agentid-grant", "kid": "x"})

    assert "one key appears twice" in refusal(consumer, jwks)


def test_revocations_outlive_a_refresh(authority, consumer):
    agent = authority.issue("bot")
    consumer.revoke(*agent.own_ids)
    authority.rotate()
    consumer.refresh(authority.trust.to_jwks())

    with pytest.raises(CredentialError, match="revoked"):
        consumer.verify_agent(agent)


def test_threads_that_refresh_at_once_end_with_the_newest(authority, consumer):
    states = [authority.trust.to_jwks()]
    for _ in range(6):
        authority.rotate()
        states.append(authority.trust.to_jwks())

    def refresh(jwks):
        with contextlib.suppress(CredentialError):
            consumer.refresh(jwks)

    for _ in range(5):
        threads = [threading.Thread(target=refresh, args=(jwks,)) for jwks in states]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert states[-1] == consumer.to_jwks()


def test_an_anchor_of_hand_picked_keys_can_be_refreshed(keys, clock):
    """It was made without a publisher, in its first state."""
    public = [key.public_key(use=use) for use, key in keys.items()]
    anchor = TrustAnchor("acme.example", public, clock=clock)
    newer = TrustAnchor("acme.example", [*public, PrivateKey.generate().public_key(use="wit-svid")], sequence=2)

    assert anchor.refresh(newer.to_jwks())


def test_whoever_got_the_keys_while_a_clock_was_ahead_takes_those_after_the_next_rotation(clock):
    """An end had come that has not, and its number must not come again with other keys."""
    authority = Authority.create("acme.example", clock=clock)
    consumer = TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="acme.example", clock=clock)
    authority.rotate()
    clock.forward(25 * 3600)
    assert consumer.refresh(authority.trust.to_jwks())
    clock.forward(-25 * 3600)
    authority.rotate()

    assert consumer.refresh(authority.trust.to_jwks())
    assert consumer.verify_agent(authority.issue("bot"))

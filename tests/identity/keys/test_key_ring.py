"""The keys of an authority as values: which sign, which are trusted, until when, and the number of each state."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from agentid.errors import ConfigurationError, CredentialError
from agentid.identity.keys.key_ring import KeyRing, RetiredKey
from agentid.identity.keys.public_pem import public_key_from_pem, public_key_to_pem
from agentid.signing import PrivateKey

NOW = 1_795_392_000
DAY = timedelta(hours=24)
TOKENS = {"wit-svid", "jwt-svid", "agentid-grant"}


@pytest.fixture
def ring():
    return KeyRing.generate()


def kids(ring, now=NOW):
    """The ids of the keys that are trusted, by use."""
    found = {}
    for key in ring.public_keys(now):
        found.setdefault(key.use, []).append(key.kid)
    return found


def refusal(ring, **settings):
    with pytest.raises(ConfigurationError) as caught:
        ring.rotated(**{"now": NOW, "overlap": DAY, **settings})
    return str(caught.value)


# --- overlap ----------------------------------------------------------------------------------------


def test_a_rotation_makes_new_keys_and_trusts_the_old_ones_until_the_overlap_is_over(ring):
    new = ring.rotated(now=NOW, overlap=DAY)
    for use in TOKENS:
        assert [new.signers[use].kid, ring.signers[use].kid] == kids(new, NOW + 86_399.9)[use]
        assert [new.signers[use].kid] == kids(new, NOW + 86_400)[use]
        assert new.signers[use].kid != ring.signers[use].kid


def test_of_an_old_key_only_the_public_half_is_kept(ring):
    new = ring.rotated(now=NOW, overlap=DAY)

    assert not {key.kid for key in new.signers.values()} & {retired.key.kid for retired in new.retired}
    assert all(isinstance(retired, RetiredKey) for retired in new.retired)


def test_a_rotation_leaves_the_key_of_the_audit_log(ring):
    new = ring.rotated(now=NOW, overlap=DAY)

    assert ring.signers["agentid-audit"] is new.signers["agentid-audit"]
    assert kids(ring)["agentid-audit"] == kids(new)["agentid-audit"]


def test_without_an_overlap_no_old_key_is_trusted(ring):
    """Neither the one that was replaced now, nor one of an earlier overlap."""
    first = ring.rotated(now=NOW, overlap=DAY)
    second = first.rotated(now=NOW + 10, overlap=timedelta(0))
    for use in TOKENS:
        assert [second.signers[use].kid] == kids(second, NOW + 10)[use] == kids(second, 0)[use]
    assert math.inf == second.next_end(NOW)


def test_without_an_overlap_the_audit_key_is_replaced_too_and_its_public_half_kept_for_good(ring):
    """Whoever had the file had it as well; and an old log is still to be verified."""
    new = ring.rotated(now=NOW, overlap=timedelta(0)).rotated(now=NOW + 5, overlap=timedelta(0))
    trusted = kids(new, NOW + 10**9)["agentid-audit"]

    assert 3 == len(trusted)
    assert [new.signers["agentid-audit"].kid, ring.signers["agentid-audit"].kid] == trusted[:2]


def test_a_shorter_overlap_also_ends_what_was_replaced_earlier(ring):
    """After the overlap, no key is trusted that is older than the rotation."""
    new = ring.rotated(now=NOW, overlap=DAY).rotated(now=NOW + 60, overlap=timedelta(hours=1))

    assert {NOW + 60 + 3600} == {retired.until for retired in new.retired}


def test_a_longer_overlap_prolongs_no_earlier_one(ring):
    new = ring.rotated(now=NOW, overlap=timedelta(hours=1)).rotated(now=NOW + 60, overlap=DAY)

    assert {NOW + 3600, NOW + 60 + 86_400} == {retired.until for retired in new.retired}
    assert NOW + 3600 == new.next_end(NOW + 60)
    assert NOW + 60 + 86_400 == new.next_end(NOW + 3600)


def test_an_overlap_is_never_shorter_than_was_said(ring):
    """Ends are whole seconds."""
    new = ring.rotated(now=NOW + 0.5, overlap=timedelta(seconds=10))

    assert {NOW + 11} == {retired.until for retired in new.retired}


def test_what_has_ended_is_dropped_by_the_next_rotation(ring):
    new = ring.rotated(now=NOW, overlap=DAY).rotated(now=NOW + 86_400, overlap=DAY)

    assert 3 == len(new.retired)


@pytest.mark.parametrize(
    "overlap", [timedelta(seconds=-1), timedelta(days=30, microseconds=1), timedelta.max, 24, 0, None, "24h"]
)
def test_an_overlap_is_a_time_from_nothing_to_thirty_days(ring, overlap):
    assert "the overlap must be" in refusal(ring, overlap=overlap)
    assert ring.rotated(now=NOW, overlap=timedelta(days=30))


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf, -1e9, NOW * 1000, 1e300])
def test_a_clock_that_is_broken_rotates_nothing(ring, now):
    """An end at no time would be no end, and a file with one that is no date could not be read any more."""
    assert "the clock" in refusal(ring, now=now)


def test_at_no_time_no_old_key_is_trusted(ring):
    new = ring.rotated(now=NOW, overlap=DAY)
    for use in TOKENS:
        assert [new.signers[use].kid] == kids(new, math.nan)[use]


def test_keys_that_are_kept_elsewhere_are_not_replaced_here(ring):
    class Elsewhere:
        def __init__(self, key):
            self.alg, self.kid, self.public_jwk, self.sign = key.alg, key.kid, key.public_jwk, key.sign

    foreign = KeyRing({**ring.signers, "agentid-grant": Elsewhere(ring.signers["agentid-grant"])})

    assert "its keys are not kept here" in refusal(foreign)


def test_no_more_keys_are_published_than_anybody_reads(ring):
    """A consumer would refuse them all."""
    for number in range(20):
        if 5 + 4 * (number + 1) > 64:
            break
        ring = ring.rotated(now=NOW + number, overlap=DAY)
    rotations = (64 - 5) // 4
    while len(ring.retired) < 4 * rotations:
        ring = ring.rotated(now=NOW + 100, overlap=DAY)

    assert "more than 64 keys" in refusal(ring, now=NOW + 200)
    assert ring.rotated(now=NOW + 200, overlap=timedelta(0))


# --- the number -------------------------------------------------------------------------------------


def test_the_number_grows_with_each_rotation_and_with_each_end(ring):
    new = ring.rotated(now=NOW, overlap=timedelta(hours=1)).rotated(now=NOW + 60, overlap=DAY)
    times = [NOW + 60, NOW + 3599, NOW + 3600, NOW + 86_459, NOW + 86_460, NOW + 10**9]

    assert 1 == ring.sequence_at(NOW)
    assert [4, 4, 5, 5, 6, 6] == [new.sequence_at(now) for now in times]
    assert 7 == new.rotated(now=NOW + 86_460, overlap=DAY).sequence_at(NOW + 86_460)


def test_a_number_that_was_seen_while_a_clock_was_ahead_is_no_later_state_s(ring):
    """Whoever was given the keys then would refuse those that come after, as other keys of the same number."""
    old = ring.rotated(now=NOW, overlap=DAY).rotated(now=NOW + 60, overlap=DAY)
    ahead = [old.sequence_at(NOW + seconds) for seconds in (60, 86_400, 86_460, 10**9)]

    assert max(ahead) < old.rotated(now=NOW + 120, overlap=DAY).sequence_at(NOW + 120)
    bare = KeyRing({use: key for use, key in old.signers.items() if use != "agentid-status"}, old.retired, old.sequence)
    assert max(ahead) < bare.completed().sequence_at(NOW + 120)


def test_the_number_grows_whatever_was_dropped(ring):
    """What an emergency drops before its end is no end that was counted."""
    seen = []
    for now, overlap in [(0, DAY), (10, timedelta(0)), (20, DAY), (90_000, DAY), (90_001, timedelta(0))]:
        ring = ring.rotated(now=NOW + now, overlap=overlap)
        seen += [ring.sequence_at(NOW + now), ring.sequence_at(NOW + now + 5)]

    assert sorted(seen) == seen
    assert len(set(seen)) >= 5


# --- one key, one use -------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["agentid-grant", "wit-svid"])
def test_a_key_has_one_use_and_is_in_one_place(ring, use):
    """Neither two uses, nor signing and replaced at once."""
    key = ring.signers["wit-svid"]
    with pytest.raises(CredentialError):
        KeyRing(ring.signers, (RetiredKey(key.public_key(use=use), NOW),))
    with pytest.raises(CredentialError):
        KeyRing({**ring.signers, "agentid-grant": key})


# --- public keys as PEM -----------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["ES256", "Ed25519"])
def test_a_public_key_is_the_same_after_it_was_written_and_read(alg):
    key = PrivateKey.generate(alg).public_key(use="wit-svid")
    pem = public_key_to_pem(key)

    assert pem.startswith(b"-----BEGIN PUBLIC KEY-----\n")
    assert key == public_key_from_pem(pem, use="wit-svid")


def test_what_is_no_public_key_of_ours_is_refused():
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    others = [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)]
    pems = [key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in others]
    for pem in [*pems, b"", b"junk", PrivateKey.generate().to_pem(), b"-----BEGIN PUBLIC KEY-----\nAAAA\n"]:
        with pytest.raises(ConfigurationError, match="public key could not be read"):
            public_key_from_pem(pem, use="wit-svid")

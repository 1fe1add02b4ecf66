"""The key file after a rotation: what was replaced, until when, and several processes that rotate at once."""

from __future__ import annotations

import multiprocessing
import os
import stat
from datetime import timedelta

import pytest
from systems import needs_posix

from agentid.errors import ConfigurationError
from agentid.identity.keys import key_file
from agentid.identity.keys.key_file import change_keys, load_or_create_keys, read_keys
from agentid.signing import PrivateKey

NOW = 1_795_392_000
DAY = timedelta(hours=24)


@pytest.fixture
def path(tmp_path):
    """A key file with each kind of replaced key: with an end, and for good."""
    path = tmp_path / "authority.pem"
    load_or_create_keys(path, trust_domain="acme.example")
    change_keys(path, lambda ring: ring.rotated(now=NOW, overlap=timedelta(0)))
    change_keys(path, lambda ring: ring.rotated(now=NOW, overlap=DAY))
    return path


def facts(ring):
    """Everything that a ring says."""
    return ({use: key.kid for use, key in ring.signers.items()}, ring.retired, ring.sequence)


def refusal(path):
    with pytest.raises(ConfigurationError) as caught:
        read_keys(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_what_was_written_is_what_is_read(path):
    ring = read_keys(path)
    changed = change_keys(path, lambda before: before.rotated(now=NOW + 60, overlap=DAY))

    assert (3, 5) == (ring.sequence, changed.sequence)
    assert [None, NOW + 86_400] == [ring.retired[0].until, ring.retired[1].until]
    assert facts(changed) == facts(read_keys(path))


def test_the_file_is_labelled_pem_that_other_tools_read(path):
    text = path.read_text()

    assert "agentid-sequence: 3\n" in text
    assert "agentid-retired: agentid-audit\n-----BEGIN PUBLIC KEY-----\n" in text
    assert "agentid-retired: wit-svid until 2026-11-24T00:00:00Z\n-----BEGIN PUBLIC KEY-----\n" in text
    assert (5, 4) == (text.count("BEGIN PRIVATE KEY"), text.count("BEGIN PUBLIC KEY"))


def test_no_private_key_is_left_of_what_was_replaced(path):
    before = path.read_text()
    change_keys(path, lambda ring: ring.rotated(now=NOW, overlap=timedelta(0)))
    after = path.read_text()
    pieces = [block.split("-----")[0].strip() for block in before.split("-----BEGIN PRIVATE KEY-----")[1:]]

    assert 5 == len(pieces)
    assert not any(line in after for piece in pieces for line in piece.splitlines())


def test_a_file_from_before_keys_could_be_replaced_is_in_its_first_state(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith("agentid-sequence")]
    path.write_text("\n".join(lines))

    assert 1 == read_keys(path).sequence


def test_line_ends_comments_and_empty_lines_do_not_matter(path):
    before = facts(read_keys(path))
    text = path.read_text().replace("-----BEGIN", "\n# here it is\n-----BEGIN")
    path.write_bytes(text.replace("\n", "\r\n").encode())

    assert before == facts(read_keys(path))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda t: t.replace("agentid-sequence: 3", "agentid-sequence: 0"), "neither a label nor a key"),
        (lambda t: t.replace("agentid-sequence: 3", "agentid-sequence: 03"), "neither a label nor a key"),
        (lambda t: t.replace("agentid-sequence: 3", "agentid-sequence: -3"), "neither a label nor a key"),
        (lambda t: t.replace("agentid-sequence: 3", "agentid-sequence: 9" * 17), "neither a label nor a key"),
        (lambda t: t.replace("agentid-sequence: 3", "agentid-sequence: ٣"), "it is not text"),
        (lambda t: t.replace("agentid-sequence: 3\n", "agentid-sequence: 3\nagentid-sequence: 2\n"), "two numbers"),
        (lambda t: t.replace(" until 2026-11-24T00:00:00Z", "", 1), "a replaced key has an end"),
        (
            lambda t: t.replace("retired: agentid-audit", "retired: agentid-audit until 2026-11-24T00:00:00Z"),
            "has none",
        ),
        (lambda t: t.replace("2026-11-24T00:00:00Z", "2026-11-24"), "is not a time"),
        (lambda t: t.replace("2026-11-24T00:00:00Z", "2026-11-24T00:00:00+00:00"), "is not a time"),
        (lambda t: t.replace("2026-11-24T00:00:00Z", "2026-11-24T0:00:00Z"), "is not a time"),
        (lambda t: t.replace("2026-11-24T00:00:00Z", "2026-02-30T00:00:00Z"), "is not a time"),
        (lambda t: t.replace("2026-11-24T00:00:00Z", "0001-01-01T00:00:00Z"), "is not a time"),
        (lambda t: t.replace("2026-11-24T00:00:00Z", "1969-12-31T23:59:59Z"), "is not a time"),
        (lambda t: t.replace("2026-11-24T00:00:00Z", "for ever"), "is not a time"),
        (lambda t: t.replace("until 2026-11-24T00:00:00Z", "until "), "is not a time"),
        (lambda t: t.replace("retired: wit-svid", "retired: x509-svid"), "`x509-svid`, which is not a use"),
        (lambda t: t.replace("retired: wit-svid", "retired: agentid-audit", 1), "has an end, except"),
        (lambda t: t.replace("BEGIN PUBLIC KEY", "BEGIN PRIVATE KEY", 1), "neither a label nor a key"),
        (lambda t: t.replace("BEGIN PRIVATE KEY", "BEGIN PUBLIC KEY", 1), "neither a label nor a key"),
        (lambda t: t.replace("MFkw", "AAAA"), "of a replaced key for `wit-svid`"),
        (lambda t: t + "agentid-retired: agentid-audit\n", "has no key"),
        (lambda t: t[:-30], "the end is missing"),
        (lambda t: t + "-----BEGIN PUBLIC KEY-----\n", "neither a label nor a key"),
        (lambda t: t.replace("agentid-retired: wit-svid", "agentid-retired wit-svid"), "neither a label nor a key"),
    ],
    ids=range(25),
)
def test_a_file_that_is_not_a_whole_key_file_is_refused(path, change, why):
    text = path.read_text()
    changed = change(text)
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    refused = refusal(path)

    assert why in refused
    assert not any(line in refused for line in text.splitlines() if len(line) > 30)


@pytest.mark.parametrize("use", ["wit-svid", "agentid-grant"])
def test_a_key_that_is_there_twice_is_refused(path, use):
    """As one that signs, or as one that was replaced, whatever it is for."""
    ring = read_keys(path)
    from agentid.identity.keys.public_pem import public_key_to_pem

    before = path.read_text()
    for key in (ring.signers["wit-svid"].public_key(), ring.retired[1].key):
        label = f"agentid-retired: {use} until 2026-11-24T00:00:00Z\n"
        path.write_text(before + label + public_key_to_pem(key).decode())
        assert "one key for two uses, or twice" in refusal(path)
        path.write_text(before)


def test_a_replaced_key_has_the_algorithm_of_its_use(path):
    from agentid.identity.keys.public_pem import public_key_to_pem

    wrong = public_key_to_pem(PrivateKey.generate("Ed25519").public_key()).decode()
    path.write_text(path.read_text() + "agentid-retired: wit-svid until 2026-11-24T00:00:00Z\n" + wrong)

    assert "is not for `ES256`" in refusal(path)


# --- writing ----------------------------------------------------------------------------------------


@needs_posix
def test_the_file_stays_for_its_owner_alone_and_is_replaced_whole(path, monkeypatch):
    """A crash before the new one is on disk leaves the old one."""
    before = path.read_bytes()

    def crash(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", crash)
        with pytest.raises(ConfigurationError, match="no space left"):
            change_keys(path, lambda ring: ring.rotated(now=NOW, overlap=DAY))
    assert before == path.read_bytes()

    change_keys(path, lambda ring: ring.rotated(now=NOW, overlap=DAY))
    found = sorted(path.parent.iterdir())
    assert [".authority.pem.lock", "authority.pem"] == [file.name for file in found]
    assert [0o600, 0o600] == [stat.S_IMODE(file.stat().st_mode) for file in found]


def test_a_change_that_is_refused_leaves_the_file(path):
    before = path.read_bytes()
    with pytest.raises(ConfigurationError):
        change_keys(path, lambda ring: ring.rotated(now=NOW, overlap=timedelta(days=31)))

    assert before == path.read_bytes()


def test_a_file_that_is_not_there_is_not_made_by_changing_it(tmp_path):
    with pytest.raises(ConfigurationError, match="could not be read"):
        change_keys(tmp_path / "authority.pem", lambda ring: ring)
    with pytest.raises(ConfigurationError, match="could not be locked"):
        change_keys(tmp_path / "nowhere" / "authority.pem", lambda ring: ring)


@needs_posix
def test_what_a_link_leads_to_is_replaced_and_not_the_link(path, tmp_path):
    """As secrets are mounted."""
    link = tmp_path / "link.pem"
    link.symlink_to(path)
    changed = change_keys(link, lambda ring: ring.rotated(now=NOW, overlap=DAY))

    assert link.is_symlink()
    assert facts(changed) == facts(read_keys(path)) == facts(read_keys(link))


@needs_posix
def test_a_file_that_others_can_get_at_is_not_changed(path):
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        change_keys(path, lambda ring: ring.rotated(now=NOW, overlap=DAY))


def _rotate(path, start, results):
    start.wait()
    for _ in range(3):
        ring = change_keys(path, lambda before: before.rotated(now=NOW, overlap=DAY))
        results.put((ring.sequence, ring.signers["wit-svid"].kid))


def test_processes_that_rotate_at_once_do_so_one_after_the_other(tmp_path):
    """No key that was given out is lost: each is either the one that signs, or trusted until its end."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Event(), context.Queue()
    path = tmp_path / "authority.pem"
    first = load_or_create_keys(path, trust_domain="acme.example")
    processes = [context.Process(target=_rotate, args=(path, start, results)) for _ in range(3)]
    for process in processes:
        process.start()
    start.set()
    made = [results.get(timeout=50) for _ in range(9)]
    for process in processes:
        process.join()
    ring = read_keys(path)
    trusted = {key.kid for key in ring.public_keys(NOW) if key.use == "wit-svid"}

    assert list(range(2, 20, 2)) == sorted(number for number, _ in made)
    assert {first.signers["wit-svid"].kid, *(kid for _, kid in made)} == trusted
    assert 18 == ring.sequence


def test_a_reader_never_waits_and_never_sees_half_a_file(path, monkeypatch):
    """While somebody is changing it."""
    before, seen = facts(read_keys(path)), []
    real = key_file.write_private

    def write(*args, **kwargs):
        seen.append(facts(read_keys(path)))
        return real(*args, **kwargs)

    monkeypatch.setattr(key_file, "write_private", write)
    change_keys(path, lambda ring: ring.rotated(now=NOW, overlap=DAY))

    assert [before] == seen

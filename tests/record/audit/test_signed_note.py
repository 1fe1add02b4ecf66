"""Signed notes and checkpoints of C2SP: known examples verify, and what is odd is refused."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentid.record.audit.checkpoint import Checkpoint
from agentid.record.audit.merkle import EMPTY_ROOT
from agentid.record.audit.notes_file import Remainder, is_torn_checkpoint, read_notes
from agentid.record.audit.signed_note import NoteError, key_id, open_note, parse_note, sign_note, vkey
from agentid.signing import ED25519, PrivateKey, PublicKey, b64url

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# The example of c2sp.org/signed-note, and the one of the Go package golang.org/x/mod/sumdb/note.
EXAMPLES = [
    (
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        ("This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1E"
        "RYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"),
    ),
    (
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ("If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJ"
        "nAM=\n"),
    ),
]  # fmt: skip


def key_of(verifier):
    name, identifier, key = verifier.split("+", 2)
    raw = b64decode(key)
    assert b"\x01" == raw[:1]
    return name, identifier, PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": b64url(raw[1:])})


@pytest.fixture(scope="module")
def key():
    return PrivateKey.generate(ED25519)


@pytest.fixture(scope="module")
def note(key):
    return Checkpoint("example.com/log", 3, EMPTY_ROOT).sign(key)


@pytest.mark.parametrize(("verifier", "note"), EXAMPLES, ids=["C2SP", "Go"])
def test_the_examples_of_the_standard_verify(verifier, note):
    name, identifier, key = key_of(verifier)

    assert note.rpartition("\n\n")[0] + "\n" == open_note(note, name, [key])
    assert identifier == key_id(name, key.jwk).hex()
    assert verifier == vkey(name, key.jwk)


def test_a_note_that_we_sign_has_the_form_of_the_standard(key):
    note = sign_note("hello\n", "example.com/x", key)
    text, signatures = parse_note(note)

    assert note.startswith("hello\n\n\u2014 example.com/x ")
    assert "hello\n" == text == open_note(note, "example.com/x", [key.public_key()])
    assert [64] == [len(signature.signature) for signature in signatures]


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.replace("\n3\n", "\n4\n"),
        lambda note: note[:-1],
        lambda note: note + "\n",
        lambda note: note.replace("\u2014", "-"),
        lambda note: note.replace("\n\n", "\n"),
        lambda note: note.replace("\n3\n", "\n3\r\n"),
        lambda note: note.replace("\n3\n", "\n03\n"),
        lambda note: note.replace("\n3\n", "\n+3\n"),
        lambda note: note.replace("\n3\n", "\n٣\n"),
        lambda note: note.replace("\n3\n", "\n3\n3\n"),
        lambda note: note.replace("example.com/log\n", "\n", 1),
        lambda note: note.replace("\u2014 example.com/log", "\u2014 example.com/other"),
        lambda note: note + note[note.index("\u2014") :].replace("=\n", "A\n"),
        lambda note: note.replace("\n\n", "\n\n" + "\u2014 a/b Uw2QOkn8srV1\n" * 16),
        lambda note: note[: note.index("\u2014")] + "\n",
        lambda note: note[:-2] + "A\n",
        lambda note: "",
    ],
)
def test_a_changed_checkpoint_is_refused(note, key, change):
    changed = change(note)

    assert changed != note
    with pytest.raises(NoteError):
        Checkpoint.open(changed, [key.public_key()])


def test_a_signature_by_an_unknown_key_is_ignored_and_alone_is_not_enough(note, key):
    """So that witnesses can add theirs."""
    stranger = PrivateKey.generate(ED25519)
    witness = Checkpoint("example.com/log", 3, EMPTY_ROOT).sign(stranger)
    both = note + witness[witness.index("\u2014") :]

    assert 3 == Checkpoint.open(both, [key.public_key()]).size
    with pytest.raises(NoteError, match="no trusted key"):
        Checkpoint.open(witness, [key.public_key()])


def test_a_wrong_signature_of_a_known_key_spoils_the_note_even_beside_a_right_one(note, key):
    line = note[note.index("\u2014") :]
    raw = b64decode(line.split(" ")[2])
    wrong = b64encode(raw[:4] + bytes(64)).decode()

    with pytest.raises(NoteError, match="wrong"):
        Checkpoint.open(f"{note}\u2014 example.com/log {wrong}\n", [key.public_key()])


def test_a_key_that_is_not_ed25519_verifies_no_note():
    """Not even one that it signed itself."""
    key = PrivateKey.generate()
    note = Checkpoint("example.com/log", 3, EMPTY_ROOT).sign(key)

    with pytest.raises(NoteError, match="no trusted key"):
        Checkpoint.open(note, [key.public_key()])


def test_a_checkpoint_is_read_as_it_was_written(note, key):
    checkpoint = Checkpoint.open(note, [key.public_key()])

    assert ("example.com/log", 3, EMPTY_ROOT) == tuple(checkpoint)
    assert "example.com/log\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n" == checkpoint.text


# --- files of notes ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notes(key):
    return [Checkpoint("example.com/log", size, EMPTY_ROOT).sign(key) for size in (0, 7, 256)]


def test_notes_in_a_file_are_read_one_by_one(tmp_path, notes):
    path = tmp_path / "notes"
    path.write_text("".join(f"{note}\n" for note in notes), encoding="utf-8")

    assert notes == list(read_notes(path))
    assert notes[:1] == list(read_notes(path, len(notes[0].encode()) + 1))


def test_a_last_note_that_is_torn_anywhere_is_told_from_one_that_was_changed(tmp_path, notes):
    """A process that was killed leaves the beginning of a note, and nothing else."""
    path = tmp_path / "notes"
    whole = "".join(f"{note}\n" for note in notes[:2]).encode()
    last = f"{notes[2]}\n".encode()
    for length in range(1, len(last) - 1):
        path.write_bytes(whole + last[:length])
        *before, remainder = read_notes(path)
        assert notes[:2] == before
        assert is_torn_checkpoint(remainder, "example.com/log"), length

    path.write_bytes(whole + last[:-1])
    assert notes == list(read_notes(path))


@relaxed
@given(st.data())
def test_a_changed_end_of_a_file_of_notes_is_not_taken_for_torn(tmp_path_factory, notes, data):
    last = f"{notes[2]}\n".encode()
    place = data.draw(st.integers(0, len(last) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != last[place]))
    path = tmp_path_factory.mktemp("notes") / "notes"
    path.write_bytes(last[:place] + bytes([value]) + last[place + 1 :])

    for found in read_notes(path):
        if isinstance(found, Remainder):
            assert not is_torn_checkpoint(found, "example.com/log")
        else:
            assert found != notes[2]


@pytest.mark.parametrize(
    "data", [b"\n", b"a\n\n\n", b"a\n\nb\n", b"\xff\n\n\xe2\x80\x94 x\n\n", b"x" * 200_000, b"a\n" * 100_000]
)
def test_what_is_no_note_is_given_as_a_remainder_of_bounded_size(tmp_path, data):
    path = tmp_path / "notes"
    path.write_bytes(data)
    (found,) = read_notes(path)

    assert isinstance(found, Remainder)
    assert len(found.data) <= 3 * 64 * 1024
    assert not is_torn_checkpoint(found, "example.com/log")

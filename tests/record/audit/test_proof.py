"""Proofs hold for the record and the checkpoint that they are for, and for no others."""

from __future__ import annotations

import pytest

from agentid.errors import AuditTamperedError, ConfigurationError
from agentid.record.audit.proof import check_consistency, check_inclusion, prove_consistency, prove_inclusion
from agentid.signing import ED25519, PrivateKey


@pytest.fixture
def folder(tmp_path, open_log, write):
    """A closed chain of 21 records in several files, with checkpoints of 0, 4, 8, 12, 16, 20 and 21."""
    log = open_log(tmp_path / "audit", checkpoint_records=4, segment_bytes=5_000)
    write(log, 21)
    log.close()
    return tmp_path / "audit"


@pytest.fixture
def chain(folder):
    return next(folder.glob("*.checkpoint")).name.partition(".")[0]


def note_of(folder, size):
    text = next(folder.glob("*.checkpoint")).read_text(encoding="utf-8").split("\n")
    notes = ["\n".join(text[i : i + 5]) + "\n" for i in range(0, len(text) - 1, 6)]
    return next(note for note in notes if f"\n{size}\n" in note)


@pytest.mark.parametrize("number", [0, 7, 15, 16, 20])
def test_a_record_is_proven_to_be_in_the_log(folder, trust, number):
    proof = prove_inclusion(folder, f"{number:032x}", trust)

    assert number == proof.index
    assert proof.text.startswith(f"c2sp.org/tlog-proof@v1\nindex {number}\n")
    assert proof.text.endswith(f"\n\n{note_of(folder, 21)}")
    assert 21 == check_inclusion(proof.text, proof.record, trust).size


def test_a_record_is_found_by_its_own_id_and_by_that_of_its_call(tmp_path, open_log, make_record, trust):
    log = open_log(tmp_path / "audit")
    log.write("decision", make_record(1))
    log.write("outcome", make_record(1, status="success"))
    log.close()

    call = f"{1:032x}"
    assert [0, 0, 1] == [
        prove_inclusion(tmp_path / "audit", name, trust).index for name in (call, f"{call}:decision", f"{call}:outcome")
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("index 7", "index 6"),
        lambda text: text.replace("index 7", "index 21"),
        lambda text: text.replace("\n21\n", "\n20\n"),
        lambda text: text.replace("\nindex 7\n", "\nindex 7\nAAAA\n"),
        lambda text: text.replace("@v1", "@v2"),
        lambda text: "\n".join([*text.split("\n")[:2], *text.split("\n")[3:]]),
        lambda text: text.replace("\u2014 ", "\u2014 x"),
        lambda text: text.partition("\n\n")[0],
        lambda text: "",
    ],
)
def test_a_changed_proof_proves_nothing(folder, trust, change):
    proof = prove_inclusion(folder, f"{7:032x}", trust)
    assert change(proof.text) != proof.text

    with pytest.raises(AuditTamperedError):
        check_inclusion(change(proof.text), proof.record, trust)


def test_a_proof_is_for_one_record_and_of_one_key(folder, trust):
    proof = prove_inclusion(folder, f"{7:032x}", trust)

    with pytest.raises(AuditTamperedError, match="does not lead"):
        check_inclusion(proof.text, proof.record + b" ", trust)
    with pytest.raises(AuditTamperedError, match="no trusted key"):
        check_inclusion(proof.text, proof.record, [PrivateKey.generate(ED25519).public_key()])


def test_extra_data_of_others_in_a_proof_is_passed_over(folder, trust):
    proof = prove_inclusion(folder, f"{7:032x}", trust)
    with_extra = proof.text.replace("\nindex", "\nextra aGVsbG8=\nindex", 1)

    assert 21 == check_inclusion(with_extra, proof.record, trust).size


def test_a_record_that_is_not_there_or_not_signed_yet_cannot_be_proven(folder, tmp_path, open_log, write, trust):
    for name in ("", "nobody", "0" * 31, '"'):
        with pytest.raises(ConfigurationError, match="no record"):
            prove_inclusion(folder, name, trust)
    with pytest.raises(ConfigurationError, match="no audit folder"):
        prove_inclusion(tmp_path / "elsewhere", "x", trust)
    write(open_log(tmp_path / "new"), 2)
    with pytest.raises(ConfigurationError, match="no checkpoint covers it"):
        prove_inclusion(tmp_path / "new", f"{1:032x}", trust)


def test_a_log_that_was_changed_gives_no_proof(folder, chain, trust):
    path = min(folder.glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"allow"', b'"deny"', 1))

    with pytest.raises(AuditTamperedError):
        prove_inclusion(folder, f"{7:032x}", trust)
    with pytest.raises(AuditTamperedError):
        prove_consistency(folder, chain, trust, old=12)


@pytest.mark.parametrize(("old", "new"), [(4, 8), (4, 21), (12, 20), (16, 21), (20, 21), (21, None), (0, 8), (8, None)])
def test_a_log_is_proven_to_have_only_grown(folder, chain, trust, old, new):
    proof = prove_consistency(folder, chain, trust, old=old, new=new)

    assert proof.text.startswith(f"old {old}\n")
    assert (new or 21) == check_consistency(proof.text, note_of(folder, old), trust).size


def test_a_changed_proof_of_growth_proves_nothing(folder, chain, trust):
    proof = prove_consistency(folder, chain, trust, old=12, new=21)
    earlier = note_of(folder, 12)
    lines = proof.text.split("\n")

    for changed in (
        proof.text.replace("old 12", "old 16"),
        "\n".join([lines[0], *lines[2:]]),
        proof.text.replace("\n21\n", "\n20\n"),
        "x" + proof.text,
    ):
        with pytest.raises(AuditTamperedError):
            check_consistency(changed, earlier, trust)
    with pytest.raises(AuditTamperedError, match="another checkpoint"):
        check_consistency(proof.text, note_of(folder, 8), trust)
    with pytest.raises(AuditTamperedError, match="refused"):
        check_consistency(proof.text, "garbage", trust)


def test_growth_is_proven_between_checkpoints_that_there_are(folder, chain, trust):
    for options, what in (
        ({"old": 5}, "no checkpoint of 5"),
        ({"old": 4, "new": 9}, "of 9"),
        ({"old": 8, "new": 4}, "more records"),
    ):
        with pytest.raises(ConfigurationError, match=what):
            prove_consistency(folder, chain, trust, **options)
    with pytest.raises(ConfigurationError, match="no chain"):
        prove_consistency(folder, "x", trust, old=4)

"""Old records are removed only once they may be, and leave a signed statement with which the rest still verifies."""

from __future__ import annotations

from datetime import timedelta

import pytest
from systems import needs_posix

from agentid.errors import ConfigurationError, CredentialError
from agentid.identity import Authority
from agentid.record.audit import retention, verify_audit_log
from agentid.record.audit.proof import check_inclusion, prove_consistency, prove_inclusion
from agentid.signing import ED25519, PrivateKey

pytestmark = needs_posix

DAY = timedelta(days=1)
YEAR = timedelta(days=365)


@pytest.fixture
def old(tmp_path, open_log, write, clock):
    """A chain of 200 days, one file and ten records each 50 of them, closed."""
    log = open_log(tmp_path / "audit", segment_age=40 * DAY, checkpoint_records=3)
    for number in range(4):
        write(log, 10, start=10 * number)
        clock.step(50 * DAY)
    log.close()
    return tmp_path / "audit"


def names(folder, suffix=".jsonl"):
    return [path.name[-13:] for path in sorted(folder.glob(f"*{suffix}"))]


ALL = ["000001.jsonl", "000002.jsonl", "000003.jsonl", "000004.jsonl"]


def kept(folder):
    return [int(name[-12:-6]) for name in names(folder)]


def test_nothing_is_removed_unless_it_was_asked_for(old, open_log, write, clock):
    clock.step(10 * YEAR)
    write(open_log(old), 1)

    assert [1, 1, 2, 3, 4] == sorted(kept(old))


def test_records_older_than_wanted_are_removed_and_the_rest_verifies(old, open_log, trust, clock):
    clock.step(100 * DAY)
    open_log(old, retention=200 * DAY).close()
    report = verify_audit_log(old, trust)

    assert [3, 4] == kept(old)
    assert ((), 20, 20, 0) == (report.problems, report.records, report.removed, report.unsigned)


def test_a_chain_may_be_removed_as_a_whole_and_still_its_checkpoints_tell_that_it_was(
    old, open_log, trust, clock, tmp_path
):
    anchor = tmp_path / "anchor"
    anchor.write_bytes(next(old.glob("*.checkpoint")).read_bytes())
    clock.step(2 * YEAR)
    open_log(old, retention=YEAR).close()
    report = verify_audit_log(old, trust, anchors=[anchor])

    assert [] == kept(old)
    assert ((), 0, 40) == (report.problems, report.records, report.removed)


@pytest.mark.parametrize("days", [1, 30, 183])
def test_less_than_six_months_must_be_said_in_so_many_words(old, open_log, clock, days):
    with pytest.raises(ConfigurationError, match="six months"):
        open_log(old, retention=days * DAY)
    assert [1, 2, 3, 4] == kept(old)

    open_log(old, retention=days * DAY, delete_evidence_younger_than_six_months=True).close()
    assert len(kept(old)) < 4


def test_nothing_inside_six_months_is_removed(old, open_log, clock):
    """The file of 200 days ago goes; that of 150 days ago stays."""
    open_log(old, retention=retention.MINIMUM_AGE).close()

    assert [2, 3, 4] == kept(old)


def test_a_file_is_removed_only_once_its_youngest_record_is_old_enough(tmp_path, open_log, write, clock):
    log = open_log(tmp_path / "audit", segment_age=1000 * DAY)
    write(log, 1)
    clock.step(300 * DAY)
    write(log, 1)
    log.close()
    open_log(tmp_path / "audit", retention=250 * DAY).close()

    assert [1] == kept(tmp_path / "audit")


def test_the_file_that_a_process_still_writes_is_never_removed(tmp_path, open_log, write, clock, trust):
    idle = open_log(tmp_path / "audit", segment_age=10 * DAY)
    write(idle, 3)
    clock.step(20 * DAY)
    write(idle, 3)
    clock.step(2 * YEAR)
    open_log(tmp_path / "audit", retention=YEAR).close()
    assert [2] == kept(tmp_path / "audit")

    write(idle, 1)
    idle.close()
    report = verify_audit_log(tmp_path / "audit", trust)
    assert ((), 4, 3) == (report.problems, report.records, report.removed)


def test_a_log_removes_old_files_by_itself_as_it_goes_on(tmp_path, open_log, write, clock, trust):
    import threading

    log = open_log(tmp_path / "audit", segment_age=30 * DAY, retention=200 * DAY)
    for number in range(12):
        write(log, 5, start=5 * number)
        clock.step(35 * DAY)
        for thread in threading.enumerate():
            if thread.name == "agentid-audit-retention":
                thread.join(20)
    log.close()
    report = verify_audit_log(tmp_path / "audit", trust)

    assert len(kept(tmp_path / "audit")) < 9
    assert () == report.problems
    assert 60 == report.records + report.removed


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data.replace(b'"allow"', b'"deny"', 1),
        lambda data: b"".join(data.splitlines(keepends=True)[1:]),
        lambda data: data[:-10],
    ],
    ids=["changed", "removed", "cut"],
)
def test_what_does_not_verify_is_not_removed(old, open_log, clock, caplog, harm):
    """A statement must not make a changed record look right."""
    path = min(old.glob("*.jsonl"))
    path.write_bytes(harm(path.read_bytes()))
    clock.step(2 * YEAR)
    open_log(old, retention=YEAR).close()

    assert [1, 2, 3, 4] == kept(old)
    assert "does not verify" in caplog.text


def test_what_another_key_signed_is_not_removed(old, open_log, clock, caplog):
    clock.step(2 * YEAR)
    open_log(old, retention=YEAR, signer=PrivateKey.generate(ED25519)).close()

    assert [1, 2, 3, 4] == kept(old)


def test_what_a_key_signed_that_was_replaced_since_is_removed_where_it_is_trusted(tmp_path, open_log, write, clock):
    """After an emergency the authority has another key for audit logs, and still publishes the one of before."""
    authority = Authority.create("acme.example", clock=clock)
    log = open_log(signer=authority.audit_signer())
    write(log, 3)
    log.close()
    authority.rotate(overlap=timedelta(0))
    clock.step(2 * YEAR)
    options = {"retention": YEAR, "signer": authority.audit_signer()}

    open_log(**options).close()
    assert [1] == kept(tmp_path / "audit")
    open_log(trust=authority.trust, **options).close()
    assert [] == kept(tmp_path / "audit")
    assert () == verify_audit_log(tmp_path / "audit", authority.trust).problems


@pytest.mark.parametrize("trust", [5, [], "keys", {"keys": []}, object()])
def test_what_is_no_trust_is_refused_when_the_log_is_opened(open_log, trust):
    with pytest.raises((ConfigurationError, CredentialError)):
        open_log(trust=trust)


# --- statements -------------------------------------------------------------------------------------------------------


@pytest.fixture
def shortened(old, open_log, clock):
    clock.step(100 * DAY)
    open_log(old, retention=200 * DAY).close()
    assert [3, 4] == kept(old)
    return old


def test_a_statement_says_what_was_removed_and_when(shortened):
    (path,) = shortened.glob("*.removed")
    text = path.read_text(encoding="utf-8")

    assert 2 == text.count("urn:x-agentid:audit:removal:v1\n")
    assert "\nrecords 0 10\n" in text
    assert "\nrecords 10 20\n" in text
    assert "\nremoved 2027-11-11T08:00:00.000Z\nyoungest 2027-01-15T08:00:00.000Z\n" in text


def test_removing_goes_on_where_it_ended(shortened, open_log, clock, trust):
    clock.step(30 * DAY)
    open_log(shortened, retention=200 * DAY).close()
    report = verify_audit_log(shortened, trust)

    assert [4] == kept(shortened)
    assert ((), 10, 30) == (report.problems, report.records, report.removed)


def test_a_file_that_was_removed_without_a_statement_is_missing(shortened, trust):
    min(shortened.glob("*.jsonl")).unlink()
    (problem,) = verify_audit_log(shortened, trust).problems

    assert ("missing", "000003.jsonl") == (problem.kind, problem.file[-12:])


def test_without_its_statement_the_beginning_of_a_chain_is_missing(shortened, trust):
    next(shortened.glob("*.removed")).unlink()
    (problem,) = verify_audit_log(shortened, trust).problems

    assert "missing" == problem.kind


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("records 10 20", "records 10 21"),
        lambda text: text.replace("youngest 2027-03", "youngest 2026-03"),
        lambda text: text.replace("\u2014 ", "\u2014 x"),
        lambda text: text.replace("block 2 ", "block 3 "),
        lambda text: "garbage\n\n\n" + text,
    ],
)
def test_a_changed_statement_is_found(shortened, trust, change):
    (path,) = shortened.glob("*.removed")
    before = path.read_text(encoding="utf-8")
    path.write_text(change(before), encoding="utf-8")
    assert change(before) != before

    assert path.name in {problem.file for problem in verify_audit_log(shortened, trust).problems}


def test_a_statement_that_was_not_finished_removed_nothing(shortened, trust):
    (path,) = shortened.glob("*.removed")
    path.write_bytes(path.read_bytes() + path.read_bytes()[:200])

    assert verify_audit_log(shortened, trust).ok


def test_a_change_behind_what_was_removed_is_still_found(shortened, trust):
    path = min(shortened.glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"allow"', b'"deny"', 1))
    (problem,) = verify_audit_log(shortened, trust).problems

    assert ("changed", 20, 1) == (problem.kind, problem.record, problem.line)


def test_the_first_record_that_is_left_must_name_the_last_that_was_removed(shortened, trust):
    """Otherwise the file could be exchanged for one that begins elsewhere."""
    path = min(shortened.glob("*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[1:]))

    assert not verify_audit_log(shortened, trust).ok


def test_a_crash_between_statement_and_removal_leaves_a_good_log(old, open_log, clock, trust, monkeypatch):
    """The statement is there, the file still is: it is removed the next time."""
    from pathlib import Path

    real = Path.unlink
    removed = []

    def unlink(path, **options):
        if removed:
            raise OSError("killed here")
        removed.append(path)
        real(path, **options)

    monkeypatch.setattr(Path, "unlink", unlink)
    clock.step(2 * YEAR)
    open_log(old, retention=YEAR).close()
    monkeypatch.undo()
    assert [2, 3, 4] == kept(old)
    report = verify_audit_log(old, trust)
    assert ((), 30, 10) == (report.problems, report.records, report.removed)

    open_log(old, retention=YEAR).close()
    assert [] == kept(old)
    assert verify_audit_log(old, trust).ok


def test_records_behind_what_was_removed_can_still_be_proven(shortened, trust):
    proof = prove_inclusion(shortened, f"{37:032x}", trust)
    assert 40 == check_inclusion(proof.text, proof.record, trust).size

    chain = next(shortened.glob("*.checkpoint")).name.partition(".")[0]
    sizes = [21, 24, 40]
    assert sizes[0] == prove_consistency(shortened, chain, trust, old=sizes[0]).old
    with pytest.raises(ConfigurationError, match="not there"):
        prove_consistency(shortened, chain, trust, old=3)


@pytest.mark.parametrize(
    ("end", "blocks"),
    [
        (4, ((1, b"a" * 32),)),
        (3, ((0, b"a" * 32), (0, b"b" * 32), (0, b"c" * 32))),
        (2, ((0, b"a" * 32), (1, b"b" * 32))),
    ],
    ids=["too few", "not the largest", "in no order"],
)
def test_a_signed_statement_whose_subtrees_are_not_those_of_its_records_is_refused(signer, trust, end, blocks):
    from agentid.record.audit.chain_files import origin_of
    from agentid.record.audit.removal import Removal
    from agentid.record.audit.signed_note import NoteError
    from agentid.record.audit.trusted_keys import audit_keys

    origin = origin_of("20261125T094812Z-4711-9f86d081884c7d65")
    time = "2026-11-25T10:00:00.000Z"
    removal = Removal(origin, 0, end, time, time, "0" * 64, blocks)

    with pytest.raises(NoteError, match="subtrees"):
        Removal.open(removal.sign(signer), origin, audit_keys(trust))

"""Whatever is done to a log is found, named by its first bad record, and called what it is."""

from __future__ import annotations

import json
import random
import shutil
from hashlib import sha256

import pytest
from systems import needs_posix

from agentid.errors import AuditTamperedError, ConfigurationError
from agentid.identity import Authority
from agentid.record.audit import AuditLog, verify_audit_log
from agentid.record.audit.canonical import canonical
from agentid.record.audit.chain import MAX_UNSIGNED
from agentid.record.audit.checkpoint import Checkpoint
from agentid.record.audit.merkle import CompactRange, leaf_hash
from agentid.signing import ED25519, KeySet, PrivateKey

COUNT = 40
EVERY = 8


@pytest.fixture
def folder(tmp_path, open_log, write):
    """A closed log of one chain, one file and 40 records, with a checkpoint after each 8 of them."""
    log = open_log(tmp_path / "audit", checkpoint_records=EVERY)
    write(log, COUNT)
    log.close()
    return tmp_path / "audit"


@pytest.fixture
def unsigned(tmp_path, open_log, write):
    """A log of 13 records that nobody closed: no checkpoint covers the last five."""
    write(open_log(tmp_path / "audit", checkpoint_records=EVERY), 13)
    return tmp_path / "audit"


@pytest.fixture
def many_files(tmp_path, open_log, write):
    log = open_log(tmp_path / "audit", checkpoint_records=EVERY, segment_bytes=6_000)
    write(log, COUNT)
    log.close()
    return tmp_path / "audit"


def only(folder, suffix):
    (path,) = folder.glob(f"*{suffix}")
    return path


def edit(path, change):
    """Let *change* do something to the list of lines of a file."""
    lines = path.read_bytes().splitlines(keepends=True)
    changed = change(lines)
    path.write_bytes(b"".join(lines if changed is None else changed))


def found(folder, trust, **options):
    return [(p.kind, p.record, p.line) for p in verify_audit_log(folder, trust, **options).problems]


def put(index, line):
    def change(lines):
        lines[index] = line(lines[index])

    return change


def swap(lines, a, b):
    lines[a], lines[b] = lines[b], lines[a]


def with_link(**changes):
    def change(line):
        value = json.loads(line)
        value["data"]["chain"].update(changes)
        return canonical(value) + b"\n"

    return change


# --- records ----------------------------------------------------------------------------------------------------------


def test_an_untouched_log_verifies(folder, trust):
    report = verify_audit_log(folder, trust)

    assert report.ok
    assert (COUNT, 1, 6, 0, ()) == (
        report.records, report.chains, report.checkpoints, report.unsigned, report.recovered,
    )  # fmt: skip
    report.raise_if_tampered()


CHANGES = {
    "changed": (put(17, lambda line: line.replace(b'"allow"', b'"deny"')), ("changed", 17, 18)),
    "changed first": (put(0, lambda line: line.replace(b"c-42", b"c-43")), ("changed", 0, 1)),
    "changed last but one": (put(38, lambda line: line.replace(b"c-42", b"c-43")), ("changed", 38, 39)),
    "changed its hash of the one before": (put(17, with_link(prev="sha256:" + "0" * 64)), ("changed", 17, 18)),
    "changed the first's hash of nothing": (put(0, with_link(prev="sha256:" + "0" * 64)), ("changed", 0, 1)),
    "changed its number up": (put(17, with_link(seq=33)), ("changed", 17, 18)),
    "changed its number down": (put(17, with_link(seq=3)), ("changed", 17, 18)),
    "changed to no record": (put(17, lambda _: b"garbage\n"), ("changed", 17, 18)),
    "changed to an empty line": (put(17, lambda _: b"\n"), ("changed", 17, 18)),
    "removed": (lambda lines: lines[:17] + lines[18:], ("removed", 17, 18)),
    "removed several": (lambda lines: lines[:17] + lines[25:], ("removed", 17, 18)),
    "removed first": (lambda lines: lines[1:], ("removed", 0, 1)),
    "inserted a copy of an old one": (lambda lines: lines.insert(17, lines[3]), ("duplicated", 17, 18)),
    "inserted a forged old one": (lambda lines: lines.insert(17, with_link(seq=3)(lines[16])), ("inserted", 17, 18)),
    "exchanged for an old one": (put(17, with_link(seq=3, prev="sha256:" + "1" * 64)), ("changed", 17, 18)),
    "inserted garbage": (lambda lines: lines.insert(17, b"garbage\n"), ("inserted", 17, 18)),
    "inserted a forgery": (lambda lines: lines.insert(17, with_link(seq=17)(lines[16])), ("inserted", 17, 18)),
    "duplicated": (lambda lines: lines.insert(18, lines[17]), ("duplicated", 18, 19)),
    "duplicated at the end": (lambda lines: lines.append(lines[39]), ("duplicated", 40, 41)),
    "swapped neighbours": (lambda lines: swap(lines, 17, 18), ("swapped", 17, 18)),
    "swapped far apart": (lambda lines: swap(lines, 5, 30), ("swapped", 5, 6)),
    "reversed": (lambda lines: lines[::-1], ("swapped", 0, 1)),
    "truncated": (lambda lines: lines[:33], ("truncated", 33, None)),
    "truncated at a checkpoint": (lambda lines: lines[:32], ("truncated", 32, None)),
    "truncated by one": (lambda lines: lines[:-1], ("truncated", 39, None)),
    "truncated to nothing": (lambda _: [], ("truncated", 0, None)),
    "truncated within a line": (lambda lines: [*lines[:-1], lines[-1][:50]], ("truncated", 39, None)),
    "truncated by the last line break": (lambda lines: [*lines[:-1], lines[-1][:-1]], ("truncated", 39, None)),
    "something after the last record": (lambda lines: lines.append(b"x"), ("changed", 40, 41)),
    "a space within a line": (put(17, lambda line: line.replace(b",", b", ", 1)), ("changed", 17, 18)),
    "another line break": (put(17, lambda line: line[:-1] + b"\r\n"), ("changed", 17, 18)),
    "two lines in one": (put(17, lambda line: line[:-1] + b" "), ("changed", 17, 18)),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_what_was_done_to_a_record_is_named(folder, trust, change, expected):
    edit(only(folder, ".jsonl"), change)
    report = verify_audit_log(folder, trust)

    assert [(only(folder, ".jsonl").name, *expected)] == [(p.file, p.kind, p.record, p.line) for p in report.problems]
    with pytest.raises(AuditTamperedError, match=rf"record {expected[1]}\b"):
        report.raise_if_tampered()


@pytest.mark.parametrize(
    ("change", "expected"),
    [(c, e) for name, (c, e) in CHANGES.items() if name in {"changed", "removed", "duplicated", "swapped neighbours"}],
    ids=["changed", "removed", "duplicated", "swapped"],
)
def test_what_was_done_is_named_just_the_same_with_several_processes(folder, trust, change, expected):
    edit(only(folder, ".jsonl"), change)

    assert [expected] == found(folder, trust, workers=2)


UNSIGNED = {
    "changed before the last": (put(10, lambda line: line.replace(b"c-42", b"c-43")), ("changed", 10, 11)),
    "changed spelling of the last": (put(12, lambda line: line.replace(b",", b", ", 1)), ("changed", 12, 13)),
    "last of another chain": (put(12, lambda line: line.replace(b"chain:2", b"chain:3")), ("changed", 12, 13)),
    "last is no record": (put(12, lambda line: line.replace(b"data", b"date", 1)), ("changed", 12, 13)),
    "last has a key twice": (put(12, lambda line: line[:-2] + b',"type":"x"}\n'), ("changed", 12, 13)),
    "last is longer than a record may be": (
        put(12, lambda line: line.replace(b"c-42", b"c" * 65_000)),
        ("changed", 12, 13),
    ),
    "removed": (lambda lines: lines[:10] + lines[11:], ("removed", 10, 11)),
    "end is no beginning of a record": (lambda lines: lines.append(b'{"x":1'), ("changed", 13, 14)),
    "end is more than a record": (lambda lines: lines.append(lines[12][:-1] + b"x"), ("changed", 13, 14)),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), UNSIGNED.values(), ids=UNSIGNED)
def test_records_that_no_checkpoint_covers_yet_are_held_to_their_links_and_their_form(
    unsigned, trust, change, expected
):
    assert (True, 5) == ((report := verify_audit_log(unsigned, trust)).ok, report.unsigned)
    edit(only(unsigned, ".jsonl"), change)

    assert [expected] == found(unsigned, trust)


def relinked(lines, start):
    """Records from *start* on, made to fit each other again after one of them was changed."""
    prev = leaf_hash(lines[start - 1][:-1]).hex() if start else sha256().hexdigest()
    for index in range(start, len(lines)):
        lines[index] = with_link(prev=f"sha256:{prev}", seq=index)(lines[index])
        prev = leaf_hash(lines[index][:-1]).hex()


def test_records_that_were_made_to_fit_each_other_do_not_fit_what_was_signed(folder, trust):
    """Anybody can compute hashes; only the signature tells."""

    def change(lines):
        lines[20] = lines[20].replace(b'"deny"', b'"allow"').replace(b"c-42", b"c-43")
        relinked(lines, 20)

    edit(only(folder, ".jsonl"), change)

    assert [("rewritten", 16, None)] == found(folder, trust)


def test_a_rewritten_record_is_found_though_nothing_follows_it(folder, trust):
    edit(only(folder, ".jsonl"), put(39, lambda line: line.replace(b"c-42", b"c-43")))

    assert [("rewritten", 39 // EVERY * EVERY, None)] == found(folder, trust)


def test_a_problem_is_reported_for_each_file_and_only_its_first(many_files, segments, trust):
    files = segments(many_files)
    for path in (files[1], files[3]):
        edit(path, put(1, lambda line: line.replace(b"c-42", b"c-43")))
        edit(path, put(3, lambda line: line.replace(b"c-42", b"c-43")))
    report = verify_audit_log(many_files, trust)

    assert [files[1].name, files[3].name] == [problem.file for problem in report.problems]
    assert [("changed", 2)] * 2 == [(problem.kind, problem.line) for problem in report.problems]
    assert COUNT == report.records


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_change_of_the_last_record_of_a_file_is_named_in_that_file(many_files, segments, trust):
    path = segments(many_files)[1]
    count = len(path.read_bytes().splitlines())
    edit(path, put(-1, lambda line: line.replace(b"c-42", b"c-43")))
    (problem,) = verify_audit_log(many_files, trust).problems

    assert (path.name, "changed", count) == (problem.file, problem.kind, problem.line)


@pytest.mark.parametrize("which", [0, 2])
def test_a_missing_file_is_named(many_files, segments, trust, which):
    path = segments(many_files)[which]
    path.unlink()
    (problem,) = verify_audit_log(many_files, trust).problems

    assert (path.name, "missing") == (problem.file, problem.kind)


def test_a_missing_last_file_is_a_truncation(many_files, segments, trust):
    segments(many_files)[-1].unlink()
    (problem,) = verify_audit_log(many_files, trust).problems

    assert "truncated" == problem.kind


def test_files_that_were_exchanged_are_found(many_files, segments, trust):
    first, second = segments(many_files)[1:3]
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)

    assert first.name == verify_audit_log(many_files, trust).problems[0].file


def test_a_file_that_ends_early_is_found_though_others_follow(many_files, segments, trust):
    path = segments(many_files)[1]
    path.write_bytes(path.read_bytes()[:-20])

    assert ("changed", path.name) in [(p.kind, p.file) for p in verify_audit_log(many_files, trust).problems]


def test_records_without_any_checkpoint_are_not_believed(folder, trust):
    only(folder, ".checkpoint").unlink()

    assert [("missing", None, None)] == found(folder, trust)


def test_checkpoints_without_any_records_are_not_believed(folder, trust):
    only(folder, ".jsonl").unlink()

    assert [("truncated", 0, None)] == found(folder, trust)


@pytest.mark.parametrize(
    "name", ["notes.jsonl", "x.checkpoint", "20261125T094812Z-1-9f86d081884c7d65.0000001.jsonl", "a.removed"]
)
def test_a_file_that_belongs_to_no_chain_is_named(folder, trust, name):
    (folder / name).write_bytes(b"{}\n")

    assert [(name, "stranger")] == [(p.file, p.kind) for p in verify_audit_log(folder, trust).problems]


def test_files_of_others_are_left_alone(folder, trust):
    (folder / "README").write_text("what this is", encoding="utf-8")
    (folder / "notes.txt").write_text("x", encoding="utf-8")

    assert verify_audit_log(folder, trust).ok


def test_a_file_renamed_into_another_chain_is_found(folder, trust):
    for path in list(folder.iterdir()):
        path.rename(path.with_name(path.name.replace("20", "21", 1)))

    assert {"checkpoint", "changed"} == {kind for kind, _, _ in found(folder, trust)}


@needs_posix
def test_a_file_that_cannot_be_read_is_named(folder, trust):
    path = only(folder, ".jsonl")
    path.unlink()
    path.mkdir()

    assert [("unreadable", None, None)] == found(folder, trust)


def test_an_empty_folder_has_nothing_wrong_and_a_missing_one_is_a_mistake(tmp_path, trust):
    assert (True, 0, 0) == ((report := verify_audit_log(tmp_path, trust)).ok, report.records, report.chains)
    with pytest.raises(ConfigurationError, match="no audit folder"):
        verify_audit_log(tmp_path / "elsewhere", trust)


# --- checkpoints ------------------------------------------------------------------------------------------------------


def edit_notes(folder, change):
    path = only(folder, ".checkpoint")
    notes = [f"{note}\n\n" for note in path.read_text(encoding="utf-8").split("\n\n\n") if note]
    text = path.read_text(encoding="utf-8").split("\n")
    notes = ["\n".join(text[i : i + 6]) + "\n" for i in range(0, len(text) - 1, 6)]
    path.write_text("".join(change(notes)), encoding="utf-8")


@pytest.mark.parametrize(
    "change",
    [
        lambda notes: [notes[0].replace("\n0\n", "\n1\n"), *notes[1:]],
        lambda notes: [notes[0], notes[1].replace("\n8\n", "\n7\n"), *notes[2:]],
        lambda notes: [notes[0], notes[1].replace("\u2014 ", "\u2014 x"), *notes[2:]],
        lambda notes: [notes[0], notes[2], notes[1], *notes[3:]],
        lambda notes: notes[1:],
        lambda notes: [*notes, notes[2]],
        lambda notes: [*notes[:2], "garbage\n", *notes[2:]],
        lambda notes: [*notes, "garbage\n"],
        lambda notes: [*notes, "garbage"],
        lambda notes: [*notes, "\n"],
        lambda notes: [note.replace("audit:chain:2", "audit:chain:3") for note in notes],
    ],
    ids=[
        "first", "size", "name", "swapped", "first removed", "duplicated", "garbage within", "garbage line after",
        "garbage after", "empty line after", "of another chain",
    ],
)  # fmt: skip
def test_what_was_done_to_checkpoints_is_found(folder, trust, change):
    edit_notes(folder, change)
    report = verify_audit_log(folder, trust)

    assert [(only(folder, ".checkpoint").name, "checkpoint")] == [(p.file, p.kind) for p in report.problems]


def forged(folder, key, count=COUNT):
    """Sign all records of a folder again, with another key."""
    lines = only(folder, ".jsonl").read_bytes().splitlines()
    tree = CompactRange()
    origin = json.loads(lines[0])["source"]
    notes = [Checkpoint(origin, 0, tree.root()).sign(key)]
    for line in lines[:count]:
        tree.push(leaf_hash(line))
    return [f"{note}\n" for note in [*notes, Checkpoint(origin, count, tree.root()).sign(key)]]


def test_a_log_that_was_rewritten_and_signed_by_another_key_is_found(folder, trust):
    edit(only(folder, ".jsonl"), lambda lines: relinked(lines[:20], 0))
    edit_notes(folder, lambda _: forged(folder, PrivateKey.generate(ED25519)))
    (problem,) = verify_audit_log(folder, trust).problems

    assert "checkpoint" == problem.kind
    assert "no trusted key signed it" in problem.what


def test_a_checkpoint_that_promises_records_that_never_were_is_a_truncation(folder, authority, trust):
    """Signed by the right key, so the records must be somewhere."""
    origin = json.loads(only(folder, ".jsonl").read_bytes().splitlines()[0])["source"]
    ahead = Checkpoint(origin, COUNT + 1, bytes(32)).sign(authority.audit_signer())
    edit_notes(folder, lambda notes: [*notes, f"{ahead}\n"])

    assert [("truncated", COUNT, None)] == found(folder, trust)


def test_two_signed_checkpoints_that_contradict_each_other_are_found(folder, authority, trust):
    origin = json.loads(only(folder, ".jsonl").read_bytes().splitlines()[0])["source"]
    other = Checkpoint(origin, 36, bytes(32)).sign(authority.audit_signer())
    edit_notes(folder, lambda notes: [*notes[:-1], f"{other}\n", notes[-1]])

    assert [("rewritten", 32, None)] == found(folder, trust)


def test_more_unsigned_records_than_a_process_leaves_mean_that_checkpoints_were_taken_away(
    tmp_path, open_log, write, trust
):
    log = open_log(tmp_path / "audit")
    write(log, 2 * MAX_UNSIGNED + 1)
    log.close()
    edit_notes(tmp_path / "audit", lambda notes: notes[:1])

    assert [("unsigned", None, None)] == found(tmp_path / "audit", trust)


def test_a_key_that_is_for_something_else_signs_no_checkpoint(tmp_path, write, open_log):
    authority = Authority.create("acme.example")
    key = PrivateKey.generate(ED25519)
    write(log := open_log(tmp_path / "audit", signer=key), 3)
    log.close()

    assert not verify_audit_log(tmp_path / "audit", authority.trust).ok
    assert verify_audit_log(tmp_path / "audit", [key.public_key()]).ok
    assert verify_audit_log(tmp_path / "audit", KeySet([key.public_key(use="agentid-audit")])).ok
    with pytest.raises(ConfigurationError, match="no key for audit logs"):
        verify_audit_log(tmp_path / "audit", [key.public_key(use="wit-svid")])
    with pytest.raises(ConfigurationError, match="no key for audit logs"):
        verify_audit_log(tmp_path / "audit", KeySet([key.public_key(use="wit-svid")]))


def test_a_published_key_set_is_enough_to_verify(folder, trust):
    assert verify_audit_log(folder, json.loads(json.dumps(trust.to_jwks()))).ok
    with pytest.raises(ConfigurationError):
        verify_audit_log(folder, [PrivateKey.generate().public_key()])


def test_a_log_that_two_keys_signed_verifies_with_both(tmp_path, write, open_log):
    old, new = PrivateKey.generate(ED25519), PrivateKey.generate(ED25519)
    for key in (old, new):
        write(log := open_log(tmp_path / "audit", signer=key), 3)
        log.close()

    assert verify_audit_log(tmp_path / "audit", [old.public_key(), new.public_key()]).ok
    assert not verify_audit_log(tmp_path / "audit", [new.public_key()]).ok


# --- anchors ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def anchor(tmp_path, folder):
    """A copy of the checkpoints, out of reach."""
    path = tmp_path / "anchor.txt"
    shutil.copy(only(folder, ".checkpoint"), path)
    return path


def test_checkpoints_that_were_kept_elsewhere_are_compared(folder, anchor, trust):
    report = verify_audit_log(folder, trust, anchors=[anchor])

    assert (True, 6) == (report.ok, report.anchored)


def cut_clean(folder):
    """Take records and checkpoints away together, as if the process had ended there."""
    edit(only(folder, ".jsonl"), lambda lines: lines[:24])
    edit_notes(folder, lambda notes: notes[:4])


def test_a_log_that_was_cut_off_together_with_its_checkpoints_shows_only_against_an_anchor(folder, anchor, trust):
    cut_clean(folder)
    assert verify_audit_log(folder, trust).ok

    (problem,) = verify_audit_log(folder, trust, anchors=[anchor]).problems
    assert ("truncated", 24) == (problem.kind, problem.record)
    assert str(anchor) in problem.what


def test_a_log_that_was_wholly_rewritten_with_the_right_key_shows_against_an_anchor(folder, anchor, authority, trust):
    edit(only(folder, ".jsonl"), lambda lines: [relinked(changed := [*lines[:9], *lines[10:]], 0), changed][1])
    edit_notes(folder, lambda _: forged(folder, authority.audit_signer(), COUNT - 1))
    assert verify_audit_log(folder, trust).ok

    (problem,) = verify_audit_log(folder, trust, anchors=[anchor]).problems
    assert ("rewritten", 8) == (problem.kind, problem.record)


def test_a_chain_that_was_taken_away_as_a_whole_shows_against_an_anchor(folder, anchor, trust):
    for path in folder.iterdir():
        path.unlink()
    assert verify_audit_log(folder, trust).ok

    assert [("missing", None, None)] == found(folder, trust, anchors=[anchor])


def test_one_checkpoint_as_text_is_an_anchor(folder, anchor, trust):
    text = anchor.read_text(encoding="utf-8")
    last = text[text.rindex("\n\nurn:") + 2 : -1]
    assert verify_audit_log(folder, trust, anchors=[last]).ok
    cut_clean(folder)

    assert [("truncated", 24, None)] == found(folder, trust, anchors=[last])


def test_an_anchor_that_is_not_signed_by_a_trusted_key_is_refused(folder, anchor, trust, tmp_path):
    edit_notes(folder, lambda notes: notes)
    stranger = tmp_path / "stranger.txt"
    stranger.write_text("".join(forged(folder, PrivateKey.generate(ED25519))), encoding="utf-8")
    (problem,) = verify_audit_log(folder, trust, anchors=[stranger]).problems
    assert (str(stranger), "checkpoint") == (problem.file, problem.kind)

    anchor.write_bytes(anchor.read_bytes() + b"torn")
    assert [(str(anchor), "checkpoint")] == [
        (p.file, p.kind) for p in verify_audit_log(folder, trust, anchors=[anchor]).problems
    ]


def test_an_anchor_of_something_else_is_refused_and_a_missing_one_is_a_mistake(folder, authority, trust, tmp_path):
    other = Checkpoint("example.com/log", 3, bytes(32)).sign(authority.audit_signer())

    assert [("checkpoint", None, None)] == found(folder, trust, anchors=[other])
    with pytest.raises(ConfigurationError, match="cannot be read"):
        verify_audit_log(folder, trust, anchors=[tmp_path / "nowhere"])


# --- how it works -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_chunks(monkeypatch):
    """Cut files so that each few lines are a chunk of their own."""
    from agentid.record.audit import chain_check, chunk_plan

    real = chunk_plan.cut_file
    monkeypatch.setattr(chain_check, "cut_file", lambda path, size: real(path, size, chunk_bytes=2_500))


@pytest.mark.parametrize("workers", [1, 3])
def test_chunks_put_together_are_the_whole_log(many_files, trust, small_chunks, workers):
    report = verify_audit_log(many_files, trust, workers=workers)

    assert (True, COUNT, 6) == (report.ok, report.records, report.checkpoints)


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_what_was_done_is_named_wherever_the_file_is_cut(folder, trust, small_chunks, change, expected):
    """Only what is called what may differ: what was moved far away looks removed."""
    path = only(folder, ".jsonl")
    edit(path, change)
    (problem,) = verify_audit_log(folder, trust).problems

    assert path.name == problem.file
    # Two lines in one are known as such only where both neighbours are.
    assert (problem.record, problem.line) in {expected[1:], (18, 19)}


def test_progress_is_reported_in_bytes(folder, trust, small_chunks):
    seen = []
    verify_audit_log(folder, trust, progress=lambda done, total: seen.append((done, total)))
    size = only(folder, ".jsonl").stat().st_size

    assert (size, size) == seen[-1]
    assert seen == sorted(seen)
    assert len(seen) > 5


def test_a_log_that_is_written_meanwhile_verifies(open_log, write, trust, tmp_path, monkeypatch):
    """Checkpoints are looked at before records: what is added later is never missed."""
    from agentid.record.audit import verify

    log = open_log(tmp_path / "audit", checkpoint_records=2, segment_bytes=3_000)
    write(log, 7)
    real = verify.list_chains

    def writing(folder):
        found = real(folder)
        write(log, 5)
        return found

    monkeypatch.setattr(verify, "list_chains", writing)
    assert verify_audit_log(tmp_path / "audit", trust).ok


def test_a_worker_that_dies_is_replaced_by_this_process(folder, trust, small_chunks, monkeypatch):
    from agentid.record.audit import worker_pool

    monkeypatch.setattr(worker_pool, "_PROGRAM", "raise SystemExit(1)")
    assert verify_audit_log(folder, trust, workers=2).ok
    edit(only(folder, ".jsonl"), CHANGES["changed"][0])

    assert [("changed", 17, 18)] == found(folder, trust, workers=2)


def test_a_line_without_end_does_not_take_memory(folder, trust):
    """Whoever can write to the folder must not be able to stop whoever verifies."""
    path = only(folder, ".jsonl")
    path.write_bytes(path.read_bytes() + b"x" * 10_000_000)
    import tracemalloc

    tracemalloc.start()
    try:
        assert [("changed", 40, 41)] == found(folder, trust)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000


@pytest.mark.parametrize("seed", range(3))
def test_random_harm_never_goes_unnoticed_and_never_stops_the_verifier(many_files, trust, small_chunks, segments, seed):
    chance = random.Random(seed)
    whole = {path: path.read_bytes() for path in many_files.iterdir()}
    for _ in range(60):
        path = chance.choice(sorted(whole))
        data = bytearray(whole[path])
        begin = chance.randrange(len(data))
        end = min(len(data), begin + chance.choice([1, 2, 50, 3000]))
        action = chance.randrange(3)
        if action == 0:
            data[begin:end] = bytes(chance.randrange(256) for _ in range(end - begin))
        elif action == 1:
            del data[begin:end]
        else:
            data[begin:begin] = data[begin:end]
        path.write_bytes(data)
        # The last note alone may be lost as a process that was killed would lose it.
        harmless = path.suffix == ".checkpoint" and whole[path].startswith(bytes(data))
        assert bytes(data) == whole[path] or harmless or not verify_audit_log(many_files, trust).ok
        path.write_bytes(whole[path])


def test_a_report_reads_well(folder, trust):
    edit(only(folder, ".jsonl"), CHANGES["removed"][0])
    report = verify_audit_log(folder, trust)

    assert f"{only(folder, '.jsonl').name}, line 18 (record 17): record 17 is missing: record 18 stands here" == str(
        report.problems[0]
    )
    with pytest.raises(
        AuditTamperedError, match=r"\[audit.tampered\] the audit log does not verify: `.*record 17 is missing"
    ):
        report.raise_if_tampered()


def test_logs_of_many_processes_are_verified_together(tmp_path, signer, write, trust, clock):
    for number in range(30):
        with AuditLog(tmp_path, signer=signer, clock=clock) as log:
            write(log, number % 4)

    report = verify_audit_log(tmp_path, trust)
    assert (True, 30 - 8, sum(n % 4 for n in range(30))) == (report.ok, report.chains, report.records)

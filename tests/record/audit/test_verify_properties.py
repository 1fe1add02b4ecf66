"""Laws of verifying: any change of a single byte or line of a closed log is found."""

from __future__ import annotations

import generated
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentid.identity import Authority
from agentid.record.audit import AuditLog, verify_audit_log
from agentid.testing import SteppingClock

AUTHORITY = Authority.create("acme.example")


@pytest.fixture(scope="module")
def files(tmp_path_factory, make_record):
    """A closed log of 25 records in two files, and what is in them."""
    folder = tmp_path_factory.mktemp("audit")
    log = AuditLog(
        folder, signer=AUTHORITY.audit_signer(), checkpoint_records=4, segment_bytes=14_000, clock=SteppingClock()
    )
    for number in range(25):
        log.write("decision", make_record(number, tool="näme\U0001f600\x01"))
    log.close()
    assert verify_audit_log(folder, AUTHORITY.trust).ok
    return {path: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def verify_with(files):
    def verify(path, data):
        path.write_bytes(data)
        try:
            return verify_audit_log(path.parent, AUTHORITY.trust)
        finally:
            path.write_bytes(files[path])

    return verify


SETTINGS = settings(
    max_examples=generated.examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(st.data())
@SETTINGS
def test_any_single_changed_byte_of_any_file_is_found(files, verify_with, data):
    path = data.draw(st.sampled_from(list(files)))
    content = files[path]
    place = data.draw(st.integers(0, len(content) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != content[place]))
    report = verify_with(path, content[:place] + bytes([value]) + content[place + 1 :])

    assert not report.ok


@given(st.data())
@SETTINGS
def test_any_single_removed_or_added_byte_of_records_is_found(files, verify_with, data):
    path = data.draw(st.sampled_from([path for path in files if path.suffix == ".jsonl"]))
    content = files[path]
    place = data.draw(st.integers(0, len(content) - 1))
    added = data.draw(st.binary(max_size=1))
    rest = content[place + 1 :] if not added else content[place:]

    assert not verify_with(path, content[:place] + added + rest).ok


@given(st.data())
@SETTINGS
def test_any_single_operation_on_lines_of_records_is_found_and_named(files, verify_with, data):
    path = data.draw(st.sampled_from([path for path in files if path.suffix == ".jsonl"]))
    lines = files[path].splitlines(keepends=True)
    place = data.draw(st.integers(0, len(lines) - 1))
    other = data.draw(st.integers(0, len(lines) - 1))
    action = data.draw(st.sampled_from(["remove", "duplicate", "swap", "move", "cut"]))
    changed = list(lines)
    if action == "remove":
        del changed[place]
    elif action == "duplicate":
        changed.insert(other, lines[place])
    elif action == "swap":
        changed[place], changed[other] = lines[other], lines[place]
    elif action == "move":
        changed.insert(other, changed.pop(place))
    else:
        del changed[place:]
    if changed == lines:
        return
    report = verify_with(path, b"".join(changed))

    assert not report.ok
    first = next(
        (i for i, (a, b) in enumerate(zip(lines, changed, strict=False)) if a != b), min(len(lines), len(changed))
    )
    assert report.problems[0].line in {first + 1, 1, None}


@given(st.data())
@SETTINGS
def test_a_cut_at_any_byte_is_found(files, verify_with, data):
    path = data.draw(st.sampled_from([path for path in files if path.suffix == ".jsonl"]))
    content = files[path]

    assert not verify_with(path, content[: data.draw(st.integers(0, len(content) - 1))]).ok

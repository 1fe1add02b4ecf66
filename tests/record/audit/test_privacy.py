"""No argument, no result and no task is in the files of the log, in whatever spelling, whatever becomes of the call."""

from __future__ import annotations

import base64
import hashlib
import urllib.parse

import pytest

from agentid import AuditLog, Guard, requires, verify_audit_log
from agentid.errors import Error

SECRET = 'plugh-4711-äö "x"'


def spellings(text):
    """How it might appear; hashes without a key too, since what is short can be guessed and compared."""
    raw = text.encode()
    yield raw
    yield text.encode("utf-16-be")
    yield text.replace('"', '\\"').encode()
    yield text.encode("unicode_escape")
    yield raw.hex().encode()
    yield urllib.parse.quote(text).encode()
    yield base64.b64encode(raw).rstrip(b"=")
    for name in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        digest = hashlib.new(name, raw)
        yield digest.hexdigest()[:24].encode()
        yield base64.b64encode(digest.digest())[:24]
    yield raw[:10]


@requires("read:crm/customers/{customer_id}")
def look_up(customer_id, note, *more, **others):
    return {"note": note, "more": more, "others": others}


@requires("write:crm/customers")
def fail(note):
    raise ValueError(note)


@requires("delete:crm/customers")
def refused(note):
    return note


@requires("share:crm/customers")
def asked(note):
    return note


@requires("read:crm/stream")
def stream(note):
    yield note
    yield note


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_no_argument_and_no_result_is_in_the_log(authority, trust, tmp_path, durability):
    log = AuditLog(tmp_path / "audit", signer=authority.audit_signer(), durability=durability)
    guard = Guard(trust, audit=log, approver=lambda request: True)
    bot = authority.issue("bot", allow=["read:crm/**", "write:crm/**"], ask=["share:crm/**"])
    with guard.acting_as(bot, task=f"Use {SECRET}"):
        look_up("c-42", SECRET, SECRET, **{SECRET: SECRET})
        asked(SECRET)
        list(stream(SECRET))
        for call in (fail, refused):
            with pytest.raises((ValueError, Error)):
                call(SECRET)
    log.close()
    written = b"".join(path.read_bytes() for path in (tmp_path / "audit").iterdir())

    assert verify_audit_log(tmp_path / "audit", trust).ok
    assert 9 == written.count(b'"tool":')
    assert b"crm/customers/c-42" in written
    assert [] == [spelling for spelling in spellings(SECRET) if spelling in written]


def test_what_a_permission_pins_an_argument_to_is_of_the_grant_and_not_of_the_call(authority, trust, tmp_path):
    """The permission that decided stands in the record, constraint included; the value of the call does not."""
    permission = 'read:crm/customers/* where {"limit": {"at_most": 100}}'
    log = AuditLog(tmp_path / "audit", signer=authority.audit_signer())

    @requires("read:crm/customers/c-1")
    def limited(limit):
        return limit

    with Guard(trust, audit=log).acting_as(authority.issue("bot", allow=[permission])):
        limited(37)
        with pytest.raises(Error):
            limited(973100731)
    log.close()
    written = b"".join(path.read_bytes() for path in (tmp_path / "audit").glob("*.jsonl"))

    assert b"at_most" in written
    assert b"973100731" not in written

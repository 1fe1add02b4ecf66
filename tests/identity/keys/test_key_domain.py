"""A key file is that of one trust domain: it says which, and opens for no other."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from systems import needs_posix

from agentid.errors import ConfigurationError, CredentialError
from agentid.identity import Authority

LINE = "agentid-trust-domain: acme.example\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "authority.pem"


@pytest.fixture
def open_(path, clock):
    """Open the authority of that file, as another process would."""
    return lambda trust_domain="acme.example", **settings: Authority.open(
        path, trust_domain=trust_domain, clock=clock, **settings
    )


@pytest.fixture
def older(path, open_):
    """A key file that does not say whose it is, as it was written before files did."""
    authority = open_()
    path.write_text(path.read_text().replace(LINE, ""))
    return authority


def kids(authority):
    return [key["kid"] for key in authority.trust.to_jwks()["keys"]]


def test_a_key_file_opens_for_its_own_trust_domain_and_no_other(path, open_):
    """Or one leaked key would be two authorities."""
    authority = open_("Acme.example")
    before = path.read_bytes()
    assert LINE in path.read_text()

    for settings in ({}, {"status_uri": "https://other.example/status/1"}):
        with pytest.raises(
            ConfigurationError, match=r"its keys are those of `acme\.example`, and never.*`other\.example`"
        ):
            open_("other.example", **settings)
    assert before == path.read_bytes()
    assert kids(authority) == kids(open_())


def test_a_file_that_says_nothing_becomes_that_of_whoever_opens_it_first(path, open_, older):
    agent = open_().issue("bot")

    assert path.read_text().count(LINE) == 1
    assert kids(older) == kids(open_())
    assert older.trust.verify_agent(agent)
    with pytest.raises(ConfigurationError, match=r"and never another trust domain's"):
        open_("other.example")


def test_a_rotation_keeps_whose_keys_they_are(path, open_):
    open_().rotate()
    open_(status_uri="https://acme.example/status/1").rotate(overlap=timedelta(0))

    assert path.read_text().count(LINE) == 1
    with pytest.raises(ConfigurationError, match=r"and never another trust domain's"):
        open_("other.example")


@needs_posix
def test_a_file_that_says_nothing_and_cannot_be_written_says_what_to_write(path, open_, older):
    """Not trusted as it is: the next one could open it for another trust domain."""
    path.with_name(f".{path.name}.lock").mkdir()
    with pytest.raises(ConfigurationError, match=r"Write the line `agentid-trust-domain: acme\.example` into it"):
        open_()

    path.write_text(LINE + path.read_text())
    assert kids(older) == kids(open_())


@pytest.mark.parametrize("how", ["look", "rotate"])
def test_a_running_program_takes_no_keys_of_another_trust_domain(path, open_, clock, tmp_path, how):
    authority = open_()
    agent = authority.issue("bot")
    Authority.open(tmp_path / "other.pem", trust_domain="other.example", clock=clock)
    shutil.copy(tmp_path / "other.pem", path)
    before = path.read_bytes()

    if how == "look":
        clock.forward(1)
        with pytest.raises(CredentialError, match=r"it is not that of `acme\.example` any more"):
            authority.trust.verify_agent(agent)
    else:
        with pytest.raises(ConfigurationError, match=r"it is not that of `acme\.example` any more"):
            authority.rotate()
    assert before == path.read_bytes()


def test_a_rotation_does_not_bring_back_keys_that_an_emergency_took(path, open_, clock):
    """A file from a backup, put back right before: what it has is neither trusted nor kept as replaced."""
    authority = open_()
    backup = path.read_bytes()
    leaked = authority.issue("bot")
    authority.rotate(overlap=timedelta(0))
    path.write_bytes(backup)

    with pytest.raises(ConfigurationError, match="put back to an older state"):
        authority.rotate()
    with pytest.raises(CredentialError, match=r"no key of its issuer|older state"):
        authority.trust.verify_agent(leaked)


@pytest.mark.parametrize(
    "line", ["", " ", "acme.example/x", "Acme.example", "spiffe://acme.example", "a" * 256, "acme example", "\x00"]
)
def test_a_label_that_names_no_trust_domain_is_refused(path, open_, older, line):
    path.write_text(f"agentid-trust-domain: {line}\n" + path.read_text())

    with pytest.raises(ConfigurationError, match=r"does not name one trust domain|neither a label nor a key"):
        open_()


@pytest.mark.parametrize("second", ["acme.example", "other.example"])
def test_two_labels_are_refused(path, open_, second):
    open_()
    path.write_text(path.read_text() + f"agentid-trust-domain: {second}\n")

    with pytest.raises(ConfigurationError, match="does not name one trust domain"):
        open_()

"""Agents in files: encrypted by a passphrase, and found without a path."""

from __future__ import annotations

import json
import stat
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from systems import needs_posix

from agentid.errors import ConfigurationError, CredentialError, Error
from agentid.identity import Agent
from agentid.identity.agent_file import is_encrypted
from agentid.signing import PrivateKey

PASSPHRASE = "correct horse battery staple"
HERE = Path(".agentid", "agents")


@pytest.fixture
def file(bot, tmp_path):
    """An agent that was saved with a passphrase."""
    path = tmp_path / "bot.json"
    assert path == bot.save(path, passphrase=PASSPHRASE)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder: empty."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def refusal(path, **settings):
    """Why it is not loaded; nothing of the passphrase, the key or the tokens shows, however it is printed."""
    with pytest.raises(Error) as caught:
        Agent.load(path, **settings)
    error = caught.value
    shown = "".join((str(error), repr(error), error.for_model, *traceback.format_exception(error)))
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert not any(text in shown for text in (PASSPHRASE, "wrong-passphrase", "PRIVATE KEY"))
    assert str(error).isprintable()
    return str(error)


# --- a passphrase -----------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [PASSPHRASE, PASSPHRASE.encode()])
@pytest.mark.parametrize("given", [PASSPHRASE, PASSPHRASE.encode()])
def test_with_its_passphrase_an_agent_is_the_same(bot, tmp_path, trust, written, given):
    """As text, or as its bytes."""
    agent = Agent.load(bot.save(tmp_path / "b.json", passphrase=written), passphrase=given)

    assert bot.describe() == agent.describe()
    assert trust.verify_agent(agent)


@pytest.mark.parametrize("passphrase", ["x", " ", "pässphräse", "密码", "a\nb", "\x00", "a" * 1000, b"\xff\x00"])
def test_a_passphrase_may_be_anything_that_is_not_nothing(bot, tmp_path, passphrase):
    path = bot.save(tmp_path / "b.json", passphrase=passphrase)

    assert bot.id == Agent.load(path, passphrase=passphrase).id


def test_the_key_is_encrypted_pkcs8_that_other_tools_read(bot, file):
    content = json.loads(file.read_text())
    pem = content["key"].encode()

    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert bot._key.kid == PrivateKey(load_pem_private_key(pem, PASSPHRASE.encode())).kid
    assert {"agentid_agent", "credential", "grant", "key"} == content.keys()


def test_no_piece_of_the_key_or_of_the_passphrase_is_in_the_file(bot, file):
    text = file.read_text()
    plain = bot._key.to_pem().decode().splitlines()[1:-1]

    assert not any(line[i : i + 12] in text for line in plain for i in range(len(line) - 12))
    assert PASSPHRASE not in text


def test_the_same_agent_is_encrypted_differently_each_time(bot, tmp_path):
    one, two = (bot.save(tmp_path / name, passphrase=PASSPHRASE) for name in ("1.json", "2.json"))

    assert json.loads(one.read_text())["key"] != json.loads(two.read_text())["key"]


@needs_posix
def test_an_encrypted_file_is_for_its_owner_alone_as_well(file):
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    file.chmod(0o644)

    assert "chmod 600" in refusal(file, passphrase=PASSPHRASE)


def test_without_its_passphrase_an_encrypted_file_is_refused(file):
    assert "there is no passphrase. Pass passphrase=" in refusal(file)


@pytest.mark.parametrize("wrong", ["wrong-passphrase", PASSPHRASE + " ", PASSPHRASE[:-1], PASSPHRASE.upper(), b"\xff"])
def test_a_wrong_passphrase_is_refused(file, wrong):
    assert "the passphrase is not that of its key" in refusal(file, passphrase=wrong)


def test_a_passphrase_for_a_file_that_is_not_encrypted_is_refused(bot, tmp_path):
    """Whoever put it there did not know the passphrase."""
    path = bot.save(tmp_path / "plain.json")

    assert "its key is not encrypted" in refusal(path, passphrase=PASSPHRASE)


@pytest.mark.parametrize("junk", ["", b"", "a" * 1001, "ü" * 501, "\ud800", 1, True, [], object(), bytearray(b"x")])
def test_what_is_no_passphrase_is_refused_before_anything_is_written_or_read(bot, file, tmp_path, junk):
    """Empty is not the same as none."""
    with pytest.raises(ConfigurationError, match="The passphrase was refused"):
        bot.save(tmp_path / "other.json", passphrase=junk)
    assert not (tmp_path / "other.json").exists()
    assert "The passphrase was refused" in refusal(file, passphrase=junk)


@pytest.mark.parametrize("change", [lambda pem: pem[:200], lambda pem: pem.replace("M", "A"), lambda pem: pem[:38]])
def test_a_damaged_encrypted_key_is_refused(file, change):
    """It looks the same as a wrong passphrase."""
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "key": change(content["key"])}))

    assert "the passphrase is not that of its key" in refusal(file, passphrase=PASSPHRASE)


def test_an_encrypted_key_of_another_kind_or_agent_is_refused(file):
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    content = json.loads(file.read_text())
    for curve, why in ((ec.SECP384R1(), "its key cannot be read"), (ec.SECP256R1(), "do not belong together")):
        key = ec.generate_private_key(curve)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode()))
        file.write_text(json.dumps({**content, "key": pem.decode()}))
        assert why in refusal(file, passphrase=PASSPHRASE)


def test_whether_a_file_needs_a_passphrase_is_known_without_one(bot, file, tmp_path):
    assert is_encrypted(file)
    assert not is_encrypted(bot.save(tmp_path / "plain.json"))
    (tmp_path / "junk.json").write_text("{}")
    (tmp_path / "junk.json").chmod(0o600)
    with pytest.raises(CredentialError):
        is_encrypted(tmp_path / "junk.json")


def test_a_file_that_is_there_is_kept_whatever_the_passphrase(bot, file):
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="there is a file already"):
        bot.save(file, passphrase="other")
    assert before == file.read_bytes()

    bot.save(file, passphrase="other", overwrite=True)
    assert bot.id == Agent.load(file, passphrase="other").id


# --- without a path ---------------------------------------------------------------------------------


def test_without_a_path_an_agent_is_saved_by_its_name_and_the_only_one_is_loaded(here, bot, trust):
    """What one process saves, another that runs in the same folder loads."""
    path = bot.save()

    assert HERE / "support-bot.json" == path
    assert (here / path).is_file()
    assert trust.verify_agent(Agent.load())


@needs_posix
def test_the_folder_that_is_made_is_for_the_owner_alone(here, bot):
    bot.save()

    assert [0o700, 0o700] == [stat.S_IMODE(p.stat().st_mode) for p in (here / ".agentid", here / HERE)]


def test_without_a_path_a_passphrase_works_as_well(here, bot):
    bot.save(passphrase=PASSPHRASE)

    assert bot.id == Agent.load(passphrase=PASSPHRASE).id
    assert "there is no passphrase" in refusal(None)


def test_without_a_path_and_without_an_agent_nothing_is_loaded(here):
    assert "none was saved in `.agentid" in refusal(None)


def test_without_a_path_one_of_several_is_not_guessed(here, authority):
    """The error names them, and how to name one."""
    for name in ("a", "b"):
        authority.issue(name).save()
    error = refusal(None)

    assert "there are 2" in error
    assert "`a`, `b`" in error
    assert "Agent.load(" in error
    for name in "cdefg":
        authority.issue(name).save()
    assert "`e`, …" in refusal(None)


def test_saving_without_a_path_replaces_nothing_unless_asked(here, authority):
    authority.issue("a").save()
    second = authority.issue("a")
    with pytest.raises(ConfigurationError, match="overwrite=True"):
        second.save()
    second.save(overwrite=True)

    assert second.describe() == Agent.load().describe()


@needs_posix
def test_what_else_is_in_the_folder_is_not_an_agent(here, bot):
    bot.save()
    (HERE / "notes.txt").write_text("x")

    assert bot.id == Agent.load().id


def test_a_sub_agent_is_saved_by_its_own_name_with_its_whole_chain(here, bot, trust):
    sub = bot.delegate("summariser", allow=["read:crm/customers/c-1"])

    assert HERE / "summariser.json" == sub.save(passphrase=PASSPHRASE)
    assert sub.id == trust.verify_agent(Agent.load(passphrase=PASSPHRASE)).credential.id

"""Agent ids: what is a SPIFFE ID, and what is not."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentid.errors import CredentialError
from agentid.identity import AgentId
from agentid.identity.agent_id import parse_trust_domain

VECTORS = json.loads((Path(__file__).parent.parent / "conformance" / "spiffe_ids.json").read_text("utf-8"))


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["valid"]], ids=lambda v: v["comment"])
def test_a_spiffe_id_is_accepted(vector):
    """It is read, and written back in lower case where case has no meaning."""
    agent_id = AgentId.parse(vector["text"])

    assert vector.get("canonical", vector["text"]) == str(agent_id)
    assert agent_id == AgentId.parse(str(agent_id))


@pytest.mark.parametrize("vector", [v for v in VECTORS if not v["valid"]], ids=lambda v: v["comment"])
def test_what_is_no_spiffe_id_is_refused(vector):
    """In one line, which quotes what was refused and never breaks."""
    with pytest.raises(CredentialError) as caught:
        AgentId.parse(vector["text"])

    assert str(caught.value).isprintable()


@pytest.mark.parametrize("junk", [None, 1, True, b"spiffe://acme.example/x", [], object()])
def test_what_is_not_text_is_no_id(junk):
    """Bytes are not, either."""
    with pytest.raises(CredentialError):
        AgentId.parse(junk)
    with pytest.raises(CredentialError):
        AgentId("acme.example", junk)
    with pytest.raises(CredentialError):
        AgentId(junk, "/x")
    with pytest.raises(CredentialError):
        parse_trust_domain(junk)


def test_an_id_has_a_trust_domain_a_path_and_segments():
    """Parsed once, the parts are there."""
    agent_id = AgentId.parse("spiffe://ACME.example/agent/support-bot")

    assert ("acme.example", "/agent/support-bot", ("agent", "support-bot")) == (
        agent_id.trust_domain,
        agent_id.path,
        agent_id.segments,
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("spiffe://td/agent/support-bot", "support-bot"),
        ("spiffe://td/agent/support-bot/summariser", "summariser"),
        ("spiffe://td/ns/prod/agent/invoice-bot", "invoice-bot"),
        ("spiffe://td/ns/prod/sa/web", "ns/prod/sa/web"),
        ("spiffe://td/agent", "agent"),
        ("spiffe://td", ""),
    ],
)
def test_the_name_is_the_last_part_below_agent(text, name):
    """Foreign ids are called by their path."""
    assert name == AgentId.parse(text).name


def test_an_id_is_made_from_names():
    """The agent's, then its sub-agents'."""
    assert "spiffe://acme.example/agent/bot" == str(AgentId.make("ACME.example", "bot"))
    assert "spiffe://acme.example/agent/bot/helper" == str(AgentId.make("acme.example", "bot", "helper"))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "a\n", "a%2f", "*", "é", "a" * 129, None, 1, b"a"])
def test_a_name_that_no_id_can_carry_is_refused(name):
    """A name is one segment; it cannot add or remove any."""
    with pytest.raises(CredentialError):
        AgentId.make("acme.example", name)
    with pytest.raises(CredentialError):
        AgentId.make("acme.example", "bot", name)


def test_an_agent_has_a_name():
    """`/agent` alone is nobody."""
    with pytest.raises(CredentialError, match="no name"):
        AgentId.make("acme.example")


def test_names_that_are_too_long_together_are_refused():
    """The whole id has at most 2048 bytes."""
    with pytest.raises(CredentialError, match="longer than 2048"):
        AgentId.make("acme.example", *["a" * 128] * 16)


@pytest.mark.parametrize(
    "parts",
    [("ACME.example", "/x"), ("", "/x"), ("a/b", ""), ("td", "x"), ("td", "/"), ("td", "/x\n"), ("td", "/../x")],
)
def test_an_id_cannot_be_put_together_wrongly(parts):
    """The constructor checks as much as `parse`: an `AgentId` is always valid."""
    with pytest.raises(CredentialError):
        AgentId(*parts)


def test_an_id_is_a_value():
    """Equal when the text is, usable as a key, unchangeable, and fit to be copied and pickled."""
    agent_id = AgentId.parse("spiffe://acme.example/agent/bot")

    assert {agent_id: 1} == {AgentId.make("acme.example", "bot"): 1}
    assert agent_id != AgentId.make("acme.example", "Bot")
    assert agent_id == copy.deepcopy(agent_id) == pickle.loads(pickle.dumps(agent_id))
    with pytest.raises(FrozenInstanceError):
        agent_id.path = "/agent/other"


SEGMENTS = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True).filter(lambda s: s not in {".", ".."})


@given(st.from_regex(r"[a-z0-9._-]{1,60}", fullmatch=True), st.lists(SEGMENTS, max_size=20))
def test_every_valid_id_reads_back_as_itself(trust_domain, segments):
    """Whatever the parts are."""
    text = "/".join([f"spiffe://{trust_domain}", *segments])

    assert text == str(AgentId.parse(text))
    assert tuple(segments) == AgentId.parse(text).segments


class HostileText(str):  # noqa: SLOT000 -- as hostile as can be
    """Text whose methods do something else."""

    def _fail(self, *_):
        raise RuntimeError("hostile")

    partition = lower = isascii = split = __contains__ = __eq__ = __len__ = __iter__ = _fail
    __hash__ = str.__hash__


def test_text_whose_methods_fail_is_read_as_the_text_that_it_is():
    assert "acme.example" == AgentId.parse(HostileText("spiffe://acme.example/agent/bot")).trust_domain
    assert "acme.example" == parse_trust_domain(HostileText("acme.example"))

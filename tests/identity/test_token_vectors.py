"""Tokens that were made once, for us and for any other implementation: `conformance/tokens.json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentid.errors import CredentialError
from agentid.identity import TrustAnchor

FILE = json.loads((Path(__file__).parent.parent / "conformance" / "tokens.json").read_text("utf-8"))


@pytest.mark.parametrize("vector", FILE["tokens"], ids=lambda v: f"{v['kind']}: {v['comment']}")
def test_a_token_is_accepted_or_refused_as_its_vector_says(vector):
    """By the published keys, at the time of the file."""
    trust = TrustAnchor.from_jwks(FILE["jwks"], trust_domain=FILE["trust_domain"], clock=lambda: FILE["now"])
    verify = {
        "credential": trust.verify_credential,
        "grant": trust.verify_grant,
        "jwt-svid": lambda token: trust.verify_jwt_svid(token, audience=FILE["audience"]),
    }[vector["kind"]]

    try:
        verify(vector["token"])
    except CredentialError as error:
        outcome = error.code
    else:
        outcome = "accepted"

    assert vector["expect"] == outcome

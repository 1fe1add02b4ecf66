"""Public keys as PEM, for files that people read: the standard form, of the two kinds of keys that we know."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from agentid.errors import ConfigurationError
from agentid.signing import ED25519, PublicKey, b64url

__all__ = ["public_key_from_pem", "public_key_to_pem"]

_UNCOMPRESSED: Final = b"\x04"


def public_key_to_pem(key: PublicKey) -> bytes:
    """Write *key* as a SubjectPublicKeyInfo."""
    x = _bytes(key.jwk["x"])
    loaded = (
        Ed25519PublicKey.from_public_bytes(x)
        if key.alg == ED25519
        else ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _UNCOMPRESSED + x + _bytes(key.jwk["y"]))
    )
    return loaded.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_key_from_pem(pem: bytes, *, use: str) -> PublicKey:
    """
    Read a SubjectPublicKeyInfo; the key is known by its thumbprint.

    Raises:
        ConfigurationError: It is not a P-256 or Ed25519 key in that form.
    """
    try:
        key = load_pem_public_key(pem)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PublicKey):
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": b64url(raw)}, use=use)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        numbers = key.public_numbers()
        x, y = (b64url(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
        return PublicKey.from_jwk({"kty": "EC", "crv": "P-256", "x": x, "y": y}, use=use)
    raise ConfigurationError("A public key could not be read", why="it is not a PEM public key for P-256 or Ed25519")


def _bytes(coordinate: str) -> bytes:
    return urlsafe_b64decode(coordinate + "=")

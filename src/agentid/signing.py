"""
Keys: what signs, what verifies, and how public keys are published.

- One key has one algorithm, fixed by the key and never by a token: `ES256` (P-256), or `Ed25519` for
  the audit log.
- One key has one use. A key set that offers the same key for two uses is refused.
- A key that we make is known by its RFC 7638 thumbprint. Others may choose ids; each is unique in its set.
- Private material never shows up in `repr`, cannot be pickled and cannot be copied.

Not here: where keys are stored (`agentid.identity.keys.key_file`) and what is signed
(`agentid.identity.token`). PyJWT and `cryptography` do the mathematics.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, Protocol, cast, runtime_checkable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as pem_form
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from agentid import names
from agentid.errors import ConfigurationError, CredentialError
from agentid.secret import Secret

__all__ = ["ED25519", "ES256", "KeySet", "PrivateKey", "PublicKey", "Signer", "b64url", "is_key_id"]

ES256: Final = "ES256"
ED25519: Final = "Ed25519"

MAX_KEYS: Final = 64
"""More keys than any authority publishes, few enough that a hostile key set costs milliseconds."""

_KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
# 32 bytes; the last character carries two bits that no byte uses, and they must be zero.
_COORDINATE: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_CURVES: Final = MappingProxyType({"EC": ("P-256", ES256), "OKP": ("Ed25519", ED25519)})
# The curve P-256 is y² = x³ - 3x + b modulo a prime (FIPS 186-5).
_P256_PRIME: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
_P256_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_UNCOMPRESSED: Final = b"\x04"
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_SIGNATURE: Final = 64
_HALF: Final = 32
_ECDSA: Final = ec.ECDSA(hashes.SHA256())
_EC: Final = ECAlgorithm(ECAlgorithm.SHA256)
_OKP: Final = OKPAlgorithm()


@runtime_checkable
class Signer(Protocol):
    """Something that signs without showing its key: a PEM key here, a key management service elsewhere."""

    @property
    def alg(self) -> str:
        """The JOSE algorithm, such as `ES256`."""
        ...

    @property
    def kid(self) -> str:
        """The RFC 7638 SHA-256 thumbprint of the public key."""
        ...

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public key as a JWK with its `alg`."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign *data*; the signature is in JOSE form, which is r || s for `ES256`."""
        ...


@dataclass(frozen=True)
class PublicKey:
    """A public key with its algorithm, its id and the one use it is for; equal where all of that is."""

    alg: str
    use: str
    # The point, uncompressed; of an Ed25519 key its 32 bytes.
    _raw: bytes = field(repr=False)
    # Empty where it is known by its thumbprint, which is worked out for whoever wants it.
    _own_id: str = ""

    @classmethod
    def from_jwk(cls, jwk: object, *, use: str = "") -> PublicKey:
        """
        Read one JWK strictly: a point on the curve, canonical, with no private member.

        Args:
            jwk: The decoded JSON object. Its `kid` is used where it has one, else its thumbprint.
            use: What the key is for.

        Raises:
            CredentialError: It is not a public P-256 or Ed25519 key, or contradicts itself.
        """
        members = _jwk_members(jwk)
        kty = members.get("kty")
        if not isinstance(kty, str) or kty not in _CURVES:
            raise _bad_key("its `kty` is neither `EC` nor `OKP`")
        crv, alg = _CURVES[kty]
        if members.get("crv") != crv:
            raise _bad_key(f"its `crv` is not `{crv}`")
        if members.get("alg", alg) != alg:
            raise _bad_key(f"its `alg` is not `{alg}`")
        # Still anything: each coordinate is looked at where it is read.
        x, y = cast("str", members.get("x")), cast("str", members.get("y"))
        key = cls.p256(x, y) if alg == ES256 else cls(ED25519, "", _coordinate("x", x))
        kid = members.get("kid", key.kid)
        if not is_key_id(kid):
            raise _bad_key("its `kid` is not 1 to 128 characters of `A-Z a-z 0-9 _ . -`")
        return replace(key, use=use, _own_id="" if kid == key.thumbprint else str(kid))

    @classmethod
    def p256(cls, x: str, y: str) -> PublicKey:
        """
        Give the P-256 key with these coordinates, in canonical base64url, known by its thumbprint.

        Raises:
            CredentialError: They are not coordinates, or not those of a point on the curve.
        """
        left, right = _coordinate("x", x), _coordinate("y", y)
        if not _on_curve(left, right):
            raise _bad_key("it is not a point on its curve")
        return cls(ES256, "", _UNCOMPRESSED + left + right)

    def for_use(self, use: str) -> PublicKey:
        """Give the same key, marked for *use*."""
        return replace(self, use=use)

    @property
    def kid(self) -> str:
        """Its id in the set that it was published in, and else its thumbprint."""
        return self._own_id or self.thumbprint

    @property
    def thumbprint(self) -> str:
        """Its SHA-256 thumbprint (RFC 7638)."""
        return self._once("_thumbprint", _thumbprint)

    @property
    def jwk(self) -> dict[str, str]:
        """The key as a JWK with its `alg`, as it stands in `cnf`."""
        if self.alg == ED25519:
            return {"crv": "Ed25519", "kty": "OKP", "x": b64url(self._raw), "alg": ED25519}
        x, y = b64url(self._raw[1:33]), b64url(self._raw[33:])
        return {"crv": "P-256", "kty": "EC", "x": x, "y": y, "alg": ES256}

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Say whether *signature* is this key's over *data*; anything malformed is simply `False`."""
        key = self._key
        if isinstance(key, Ed25519PublicKey):
            return _OKP.verify(data, key, signature)
        # A JOSE signature is r || s, of 32 bytes each (RFC 7518, section 3.4). PyJWT would ask again which hash and
        # which kind of key this is, and take a twentieth of the time of the check for it.
        if len(signature) != _SIGNATURE:
            return False
        left, right = int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
        try:
            key.verify(encode_dss_signature(left, right), data, _ECDSA)
        except InvalidSignature:
            return False
        return True

    @property
    def _key(self) -> ec.EllipticCurvePublicKey | Ed25519PublicKey:
        return self._once("_loaded", PublicKey._load)

    def _load(self) -> ec.EllipticCurvePublicKey | Ed25519PublicKey:
        if self.alg == ED25519:
            return Ed25519PublicKey.from_public_bytes(self._raw)
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self._raw)

    def _once(self, name: str, make: Callable[[PublicKey], Any]) -> Any:
        # By hand: `cached_property` has a lock in older versions of Python, which a forked child may find held.
        known = self.__dict__
        if name not in known:
            known[name] = make(self)
        return known[name]

    def __reduce__(self) -> tuple[object, ...]:
        return partial(PublicKey.from_jwk, use=self.use), ({**self.jwk, "kid": self.kid},)


class PrivateKey(Secret):
    """A private key in memory, the `Signer` for keys kept in PEM files; only `to_pem` gets at the key."""

    __slots__ = ("_key", "_public")

    _key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey
    _public: PublicKey

    def __init__(self, key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> None:
        if not isinstance(key, ec.EllipticCurvePrivateKey | Ed25519PrivateKey) or (  # pyright: ignore[reportUnnecessaryIsInstance]
            isinstance(key, ec.EllipticCurvePrivateKey) and not isinstance(key.curve, ec.SECP256R1)
        ):
            raise ConfigurationError("A private key was refused", why="it is neither for P-256 nor for Ed25519")
        self._key = key
        public = key.public_key()
        if isinstance(public, Ed25519PublicKey):
            raw = public.public_bytes(pem_form.Encoding.Raw, pem_form.PublicFormat.Raw)
            self._public = PublicKey(ED25519, "", raw)
        else:
            point = public.public_bytes(pem_form.Encoding.X962, pem_form.PublicFormat.UncompressedPoint)
            self._public = PublicKey(ES256, "", point)

    @classmethod
    def generate(cls, alg: str = ES256) -> PrivateKey:
        """Make a new key for *alg*, `ES256` or `Ed25519`."""
        if alg == ES256:
            return cls(ec.generate_private_key(ec.SECP256R1()))
        if alg == ED25519:
            return cls(Ed25519PrivateKey.generate())
        raise ConfigurationError("The algorithm of a key was refused", fix="Use `ES256` or `Ed25519`")

    @classmethod
    def from_pem(cls, pem: bytes) -> PrivateKey:
        """
        Read an unencrypted PKCS#8 key.

        Raises:
            ConfigurationError: It is not a P-256 or Ed25519 key in that form.
        """
        try:
            key = pem_form.load_pem_private_key(pem, password=None)
        except (TypeError, ValueError, UnsupportedAlgorithm):
            # The cause is dropped on purpose: a parser may quote what it could not read.
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey | Ed25519PrivateKey):
            raise ConfigurationError(
                "A private key could not be read",
                why="it is not an unencrypted PKCS#8 PEM key for P-256 or Ed25519",
            )
        return cls(key)

    def to_pem(self) -> bytes:
        """Write the key as unencrypted PKCS#8: the one way to the secret, for a file that only its owner reads."""
        return self._key.private_bytes(pem_form.Encoding.PEM, pem_form.PrivateFormat.PKCS8, pem_form.NoEncryption())

    @property
    def alg(self) -> str:
        """The JOSE algorithm of this key."""
        return self._public.alg

    @property
    def kid(self) -> str:
        """The RFC 7638 SHA-256 thumbprint of the public key."""
        return self._public.thumbprint

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public half as a JWK with its `alg`."""
        return self._public.jwk

    def public_key(self, *, use: str = "") -> PublicKey:
        """Give the public half, marked for *use*."""
        return self._public.for_use(use)

    def sign(self, data: bytes) -> bytes:
        """See `Signer.sign`."""
        if not isinstance(data, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("Nothing was signed", why="only bytes can be signed")
        if isinstance(self._key, Ed25519PrivateKey):
            return _OKP.sign(data, self._key)
        return _EC.sign(data, self._key)

    def __repr__(self) -> str:
        return f"PrivateKey(alg={self.alg!r}, kid={self.kid!r})"


class KeySet:
    """
    Public keys, each with an id and one use: the part of a JWKS that we understand.

    A key is looked up by id among the keys of one use only, so that a token of one kind can never be
    checked with the key of another.
    """

    __slots__ = ("_by_use", "_keys")

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._keys = tuple(keys)
        if len({key.kid for key in self._keys}) != len(self._keys):
            raise _bad_keys("two keys have the same `kid`")
        if len({key.thumbprint for key in self._keys}) != len(self._keys):
            raise _bad_keys("one key appears twice; a key has one id and one use")
        self._by_use = MappingProxyType(
            {use: MappingProxyType({k.kid: k for k in self._keys if k.use == use}) for use in names.KEY_USES}
        )

    @classmethod
    def from_jwks(cls, jwks: object) -> KeySet:
        """
        Read a decoded JWKS strictly; entries for uses or kinds of keys unknown to us are skipped.

        Raises:
            CredentialError: It is malformed, has a private key, repeats one, or has one of ours that is not valid.
        """
        if not isinstance(jwks, Mapping):
            raise _bad_keys("it is not a JSON object")
        entries = cast("Mapping[object, object]", jwks).get("keys")
        if not isinstance(entries, list | tuple):
            raise _bad_keys("its `keys` is not a list")
        listed = cast("list[object]", entries)
        if len(listed) > MAX_KEYS:
            raise _bad_keys(f"it has more than {MAX_KEYS} keys")
        return cls(key for key in map(_published_key, listed) if key is not None)

    def with_use(self, use: str) -> Mapping[str, PublicKey]:
        """Give the keys for *use* by their id; none for a use that does not exist."""
        return self._by_use.get(use, MappingProxyType({}))

    def to_jwks(self) -> list[dict[str, str]]:
        """Give the entries of a JWKS, each with `kid`, `use` and `alg`."""
        return [{**key.jwk, "kid": key.kid, "use": key.use} for key in self._keys]

    def __iter__(self) -> Iterator[PublicKey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"KeySet({', '.join(f'{key.use}:{key.kid}' for key in self._keys)})"


def b64url(data: bytes) -> str:
    """Encode as base64url without padding."""
    return b2a_base64(data, newline=False).translate(_URL_SAFE, b"=").decode("ascii")


def is_key_id(value: object) -> bool:
    """Say whether *value* can be a `kid`: 1 to 128 characters that no log or path takes for anything else."""
    return isinstance(value, str) and _KEY_ID.fullmatch(value) is not None


def _published_key(entry: object) -> PublicKey | None:
    members = _jwk_members(entry)
    use, kty = members.get("use"), members.get("kty")
    if use not in names.KEY_USES or kty not in _CURVES or members.get("crv") in ("P-384", "P-521", "Ed448"):
        return None
    if "kid" not in members:
        raise _bad_key("it has no `kid`")
    return PublicKey.from_jwk(members, use=str(use))


def _jwk_members(jwk: object) -> Mapping[str, object]:
    if not isinstance(jwk, Mapping):
        raise _bad_key("it is not a JSON object")
    members = cast("Mapping[str, object]", jwk)
    # Also for keys that we would skip: whoever publishes a private key has to hear of it.
    if not _PRIVATE_MEMBERS.isdisjoint(members):
        raise _bad_key("it has private members")
    for name in ("kty", "use"):
        if not isinstance(members.get(name, ""), str):
            raise _bad_key(f"its `{name}` is not text")
    return members


def _coordinate(name: str, value: object) -> bytes:
    if not isinstance(value, str) or _COORDINATE.fullmatch(value) is None:
        raise _bad_key(f"its `{name}` is not 32 bytes in canonical base64url")
    return a2b_base64(value.encode("ascii").translate(_STANDARD) + b"=")


def _on_curve(x: bytes, y: bytes) -> bool:
    # `cryptography` checks the same when it loads the key, which for most credentials never happens.
    a, b = int.from_bytes(x, "big"), int.from_bytes(y, "big")
    return a < _P256_PRIME and b < _P256_PRIME and (b * b - (a * a - 3) * a - _P256_B) % _P256_PRIME == 0


def _thumbprint(key: PublicKey) -> str:
    # The members in the order of the alphabet, without `alg`; none needs an escape.
    canonical = ",".join([f'"{name}":"{value}"' for name, value in key.jwk.items() if name != "alg"])
    return b64url(sha256(f"{{{canonical}}}".encode("ascii")).digest())


def _bad_key(why: str) -> CredentialError:
    return CredentialError("A public key was refused", why=why)


def _bad_keys(why: str) -> CredentialError:
    return CredentialError("A set of public keys was refused", why=why)

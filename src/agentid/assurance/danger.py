"""
What about a permission looks dangerous, in a few words for the person who reads it.

It looks at the permission alone: at the action, the place and the name. That nothing is said of a permission does not
make it harmless.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Final

from agentid.assurance.generalise import DATABASES
from agentid.config import PlaceRule
from agentid.permission import Action, Permission
from agentid.resource import Part, Resource, ResourcePattern, Wild

__all__ = ["dangers_of", "holds_secrets"]

_OF_ACTION: Final = (
    ("execute", "it runs something, whose effects nobody knows beforehand"),
    ("delete", "it removes what is there"),
    ("share", "it gives data to others"),
)
_RUNS_ANYTHING: Final = re.compile(
    r"""
      (?:python|pypy|perl|ruby|lua|php|node|nodejs|deno|bun)[0-9.]*[a-z]? | (?:ba|da|z|k|mk|a|fi|c|tc)?sh | busybox
    | env | xargs | sudo | doas | su | ssh | make | [gmn]?awk | find | docker | podman | osascript
    | pwsh | powershell | cmd
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Programs that run what their arguments say, so that their own name says nothing."""

_OURS: Final = frozenset({"agentid.toml", ".agentid"})
_WEB: Final = frozenset({"http", "https", "ws", "wss", "ftp"})

_METADATA: Final = frozenset(
    {"169.254.169.254", "169.254.170.2", "100.100.100.200", "[fd00:ec2::254]", "metadata.google.internal", "metadata"}
)
"""Where the machines of a cloud ask for their own credentials."""

_SECRET: Final = re.compile(
    r"""
      \.env(?:\..+|rc)? | \.ssh | \.aws | \.azure | \.gcloud | \.gnupg | \.kube | \.docker | \.netrc | _netrc | \.pgpass
    | \.my\.cnf | \.npmrc | \.pypirc | \.git-credentials | \.vault-token | \.htpasswd | \.password-store
    | id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)? | shadow-? | gshadow-? | sudoers | environ | kcore
    | .+\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk) | vault | keyrings?
    | (?:.*[._-])?(?:credentials?|secrets?|passwords?|tokens?)(?:[._-].*)?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TEMPORARY: Final = (
    ("tmp",),
    ("var", "tmp"),
    ("private", "tmp"),
    ("var", "folders"),
    ("private", "var"),
    ("dev", "shm"),
)
_WINDOWS_TEMPORARY: Final = ("appdata", "local", "temp")
_OWN_DOMAINS: Final = (".local", ".internal", ".localhost", ".lan", ".home.arpa", ".intranet", ".corp")


def dangers_of(permission: Permission, *, places: Iterable[PlaceRule] = (), trust_domain: str = "") -> tuple[str, ...]:
    """
    Say why a person should look at *permission* first; nothing if no reason is known.

    Args:
        permission: What is to be granted.
        places: What kind of place a resource is, as a configuration says.
        trust_domain: Hosts in it are no strangers.
    """
    return tuple(_dangers(permission, tuple(places), trust_domain))


def _dangers(permission: Permission, places: tuple[PlaceRule, ...], trust_domain: str) -> Iterator[str]:
    pattern = permission.resource
    scheme, host, _, *segments = pattern.parts
    yield from (why for action, why in _OF_ACTION if action == permission.action)
    if permission.action == "execute" and (scheme == "sqlite" or (scheme in DATABASES and len(segments) <= 1)):
        yield "it is a whole database: any statement"
    if (scheme and not segments) or (segments and isinstance(segments[0], Wild) and scheme not in _WEB):
        yield f"it is the root of a {'file system' if scheme == 'file' else 'place'}"
    if pattern.rest:
        yield "`**` is any depth: whatever is below, now or later"
    if host in _METADATA:
        yield "it is the address at which a cloud hands out credentials"
    elif holds_secrets(pattern):
        yield "secrets are kept in places of this name"
    if scheme in {"file", "sqlite"}:
        yield from _about_files(permission.action, pattern, segments)
    if scheme in _WEB and host not in _METADATA and _is_of_others(pattern, host, places, trust_domain):
        yield "the host belongs to others"


def _about_files(action: Action, pattern: ResourcePattern, segments: list[Part]) -> Iterator[str]:
    names = tuple(part.lower() if isinstance(part, str) else "*" for part in segments)
    if action == "execute" and names and _RUNS_ANYTHING.fullmatch(names[-1].removesuffix(".exe")):
        yield "it runs any program or code that it is handed, also unguarded"
    if action != "read" and not _OURS.isdisjoint(names):
        yield "what agents may do, and what they did, is kept there"
    windows = any(names[at : at + 3] == _WINDOWS_TEMPORARY for at in range(len(names)))
    if windows or any(names[: len(place)] == place for place in _TEMPORARY):
        yield "it is a temporary place: other programs write there, too, and its name may be another next time"
    last = segments[-1] if segments and not pattern.rest else ""
    if pattern.parts[0] == "file" and isinstance(last, Wild) and not last.prefix and not last.suffix:
        yield "`*` is any file there, also one such as `.env`"


def holds_secrets(place: Resource | ResourcePattern) -> bool:
    """Whether the name of *place*, or of what it is in, is one that secrets are kept under."""
    parts = place.key if isinstance(place, Resource) else place.parts
    return parts[1] in _METADATA or any(isinstance(part, str) and _SECRET.fullmatch(part) for part in parts[3:])


def _is_of_others(pattern: ResourcePattern, host: Part, places: tuple[PlaceRule, ...], trust_domain: str) -> bool:
    for place in places:
        if place.resource.covers(pattern):
            return place.kind == "third-party"
    if not isinstance(host, str):
        return not host.suffix.endswith(f".{trust_domain}")
    try:
        return ip_address(host.strip("[]")).is_global
    except ValueError:
        own = host == trust_domain or host.endswith((f".{trust_domain}", *_OWN_DOMAINS))
        return "." in host and not own

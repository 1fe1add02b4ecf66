"""What a request of AWS was decided to be, and whether it still is that when it is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from agentid.permission import Action
from agentid.record import Access
from agentid.resource import Resource

__all__ = ["Request", "at_endpoint", "is_as_decided", "is_of_aws", "query_of", "site_of"]

_REGION: Final = r"[a-z]{2}(?:-[a-z]+){1,3}-[0-9]"
_DOMAIN: Final = r"(?:amazonaws\.com(?:\.cn)?|api\.aws)"
# Whole names, because anybody can have a machine, a gateway or a balancer in the same domain.
_S3 = re.compile(
    r"(?:[a-z0-9._-]+\.)?s3(?:-fips|-accelerate|-external-1|-accesspoint(?:-fips)?|express-[a-z0-9-]+)?"
    rf"(?:-{_REGION})?(?:\.dualstack)?(?:\.{_REGION})?\.{_DOMAIN}"
)
_SIGNATURE: Final = frozenset({"AWSAccessKeyId", "Expires", "Signature"})


class Request(NamedTuple):
    """A request that was put together, as far as it must stay that."""

    site: str
    method: str
    query: frozenset[str]
    accesses: tuple[Access, ...]
    names_keys: bool


def is_of_aws(host: str, service: str) -> bool:
    """Whether AWS itself answers there for a service, which is named as its addresses begin."""
    if service == "s3":
        return _S3.fullmatch(host) is not None
    own = rf"(?:[a-z0-9-]+\.)?{re.escape(service)}(?:-fips)?(?:\.dualstack)?(?:\.{_REGION})?\.{_DOMAIN}"
    return re.fullmatch(own, host) is not None


def at_endpoint(done: Iterable[Access], endpoint: str, service: str) -> Iterable[Access]:
    """Give the same actions on an endpoint that is not AWS's own."""
    parts = urlsplit(endpoint)
    if is_of_aws(parts.hostname or "", service):
        return []
    place = Resource.parse(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
    actions: dict[Action, None] = dict.fromkeys(each.action for each in done)
    return [Access(action, place) for action in actions]


def site_of(url: str) -> str:
    """Give scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def query_of(url: str) -> frozenset[str]:
    """Give the names in the query of a URL, without those of a signature."""
    given = (name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True))
    return frozenset(name for name in given if not name.lower().startswith("x-amz-")) - _SIGNATURE


def is_as_decided(method: str, url: str, decided: Request) -> bool:
    """Whether a request does what it was decided to do, and where."""
    if method != decided.method or not query_of(url) <= decided.query:
        return False
    parts = urlsplit(url)
    site, host, path = site_of(url), parts.netloc.lower(), unquote(parts.path)
    # A bucket may answer that it is in another region.
    is_elsewhere = is_of_aws(host, "s3") and decided.site.startswith(f"{parts.scheme}:")
    for access in decided.accesses:
        scheme, bucket, _, *segments = access.resource.key
        if scheme == "aws" and site == decided.site:
            return True
        if scheme != "s3":
            continue
        key = "/".join(segments)
        # Where there are several keys, they stand in the body, and the address names only the bucket.
        wanted = {f"/{key}", f"/{key}/"} if segments and decided.names_keys else {"/", ""}
        if is_elsewhere or decided.site in {site, f"{parts.scheme}://{host.removeprefix(f'{bucket}.')}"}:
            if host.startswith(f"{bucket}.") and path in wanted:
                return True
            if path.removeprefix(f"/{bucket}") in wanted and path.startswith(f"/{bucket}"):
                return True
    return False

"""What a request of AWS was decided to be, and whether it still is that when it is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from agentid.access.web.request import is_odd, text_of
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


_HELD: Final = frozenset({"x-amz-acl", "x-amz-copy-source", "x-amz-target"})


class Request(NamedTuple):
    """A request that was put together, as far as it must stay that."""

    site: str
    path: str
    method: str
    query: frozenset[str]
    headers: frozenset[tuple[str, str]]
    accesses: tuple[Access, ...]
    keys: object
    """The body, where it names keys, and not the address."""
    form: object
    """The operation, where the body is a form that names it."""

    @classmethod
    def of(
        cls, endpoint: str, request: Mapping[str, Any], accesses: tuple[Access, ...], *, names_keys: bool
    ) -> Request:
        """Look at what `botocore` put together for an endpoint."""
        url, body = str(request["url"]), request.get("body")
        return cls(
            site_of(endpoint),
            urlsplit(url).path,
            str(request["method"]),
            query_of(url),
            _held(request["headers"]),
            accesses,
            keys=None if names_keys else body,
            form=cast("Mapping[str, object]", body).get("Action") if isinstance(body, Mapping) else None,
        )


def _held(headers: Mapping[Any, Any]) -> frozenset[tuple[str, str]]:
    """Give those headers that say what a request does."""
    named = [(text_of(name).lower(), text_of(value)) for name, value in headers.items()]
    return frozenset(pair for pair in named if pair[0] in _HELD or pair[0].startswith("x-amz-grant-"))


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


def is_as_decided(request: Any, decided: Request) -> bool:
    """Whether a request that is about to be sent does what it was decided to do, and where."""
    url, body = str(request.url), request.body
    if request.method != decided.method or not query_of(url) <= decided.query:
        return False
    if _held(request.headers) != decided.headers or is_odd(url, request.headers.items()):
        return False
    if decided.keys is not None and body != decided.keys:
        return False
    if decided.form is not None and parse_qs(text_of(body)).get("Action") != [decided.form]:
        return False
    return any(_is_there(url, access, decided) for access in decided.accesses)


def _is_there(url: str, access: Access, decided: Request) -> bool:
    """Whether it goes where something was decided."""
    parts = urlsplit(url)
    site, host, path = site_of(url), parts.netloc.lower(), unquote(parts.path)
    scheme, bucket, _, *segments = access.resource.key
    if scheme == "aws":
        return (site, parts.path) == (decided.site, decided.path)
    # A bucket may answer that it is in another region.
    is_elsewhere = is_of_aws(host, "s3") and decided.site.startswith(f"{parts.scheme}:")
    if scheme != "s3" or not (
        is_elsewhere or decided.site in {site, f"{parts.scheme}://{host.removeprefix(f'{bucket}.')}"}
    ):
        return False
    key = "/".join(segments)
    # Where there are several keys, they stand in the body, and the address names only the bucket.
    wanted = {f"/{key}", f"/{key}/"} if segments and decided.keys is None else {"/", ""}
    if host.startswith(f"{bucket}.") and path in wanted:
        return True
    return path.removeprefix(f"/{bucket}") in wanted and path.startswith(f"/{bucket}")

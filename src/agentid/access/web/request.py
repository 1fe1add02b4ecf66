"""
One request of any HTTP library, in the words of permissions: what it touches, and which layers below account for it.

- The resource is the address without query, fragment and user info; the action is that of the method.
- A header that makes a server take the request for another one changes the action to `execute` (another method, another
  protocol) or is refused (another host, another path, two lengths).
- A proxy is no resource of its own if the environment named it when the libraries were wrapped: whoever runs the
  program wants it. Any other one, also of an environment that changed since, sees what is sent, so it needs `execute`
  on its address. So does the file of a Unix socket.
- A name for TLS that is not that of the host may lead to another place behind it: the same is done to that.
- A library accounts for *this* request with the layers below, and not for others: a callback, an adapter or a handler
  that asks for something else meanwhile is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from agentid.access.places import ACTION_OF_METHOD, file_resource, web_resource
from agentid.errors import ConfigurationError
from agentid.permission import Action
from agentid.record import Access
from agentid.record import attributes as names
from agentid.resource import Resource

if TYPE_CHECKING:
    from agentid.access.installation import Installation
    from agentid.access.library import Library
    from agentid.access.touching import Touching

__all__ = [
    "WebRequest",
    "host_and_port",
    "is_odd",
    "peer_accesses",
    "proxy_accesses",
    "socket_accesses",
    "text_of",
    "tunnel_layer",
    "web_address",
]

_OTHER_METHOD: Final = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
_OTHER_PATH: Final = frozenset({"x-original-url", "x-rewrite-url"})
_SKIPPED: Final = "@@@SKIP_HEADER@@@"  # what urllib3 is told to leave out
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_KNOWN: Final = frozenset({*ACTION_OF_METHOD, "CONNECT", "TRACE"})

Headers = Iterable[tuple[Any, Any]]


class WebRequest:
    """
    One request that is about to be made.

    Args:
        method: As it is sent.
        url: Where it goes, whatever is in between.
        headers: As they are sent; a header may come several times.
        through: What else the way there touches.
        tls_name: What the server is told to be, if that is said apart from the address.

    Attributes:
        accesses: What it does to what.
    """

    __slots__ = ("_attributes", "_layers", "_name", "_odd", "accesses")

    def __init__(
        self,
        method: str | bytes,
        url: str,
        headers: Headers = (),
        through: Callable[[], Iterable[Access]] = tuple,
        tls_name: object = None,
    ) -> None:
        word = text_of(method).upper()
        known = word if word in _KNOWN else "_OTHER"
        self.accesses: tuple[Access, ...] = ()
        self._attributes: dict[str, Any] = {names.HTTP_METHOD: known}
        self._name = "HTTP" if known == "_OTHER" else word
        self._odd: ConfigurationError | None = None
        self._layers = frozenset({"socket"})
        try:
            resource = web_resource(url)
            action = "execute" if _may_be_another(resource, headers) else ACTION_OF_METHOD.get(word, "execute")
            self.accesses = (Access(action, resource), *_behind(action, resource, tls_name), *through())
            self._describe(resource)
        except ConfigurationError as error:
            self._odd = error

    @classmethod
    def refused(cls, why: str) -> WebRequest:
        """Give a request that cannot be understood, so that it is refused and recorded."""
        request = cls("", "")
        request._odd = ConfigurationError("a request cannot be understood", why=why)
        return request

    @classmethod
    def of(cls, accesses: Callable[[], tuple[Access, ...]]) -> WebRequest:
        """Give what is touched besides a request, or without one: a tunnel, the file of a socket."""
        request = cls("CONNECT", "")
        try:
            request.accesses, request._odd = accesses(), None
            request._describe(request.accesses[0].resource)
        except ConfigurationError as error:
            request._odd = error
        return request

    def _describe(self, resource: Resource) -> None:
        host, port = host_and_port(resource)
        # What is recorded above is not recorded again below, and neither is the tunnel that it needs.
        self._layers |= {tunnel_layer(host, port), *map(_layer, self.accesses)}
        if not host:
            return
        self._name = f"{self._name} {resource.authority}"
        self._attributes[names.SERVER_ADDRESS] = host.strip("[]")
        if port is not None:
            self._attributes[names.SERVER_PORT] = port

    def touched(self) -> tuple[Access, ...]:
        """
        Say what it does to what.

        Raises:
            ConfigurationError: It cannot be understood.
        """
        if self._odd is not None:
            raise self._odd
        return self.accesses

    def unaccounted(self, access: Installation) -> WebRequest | None:
        """Give what of it no library above accounts for; None if that is nothing."""
        if self._odd is None:
            left = tuple(one for one in self.accesses if access.watches(_layer(one)))
            if not left:
                return None
            self.accesses = left
        return self

    def is_part_of(self, decided: tuple[Access, ...]) -> bool:
        """Whether all that it does was decided."""
        return self._odd is None and set(self.accesses) <= set(decided)

    def touching(self, access: Installation, library: Library) -> Touching:
        """Give the block in which it is made."""
        return access.touching(
            library,
            self.touched,
            self._name,
            attributes=self._attributes,
            is_client=True,
            accounts_for=self._layers,
        )


def _layer(access: Access) -> str:
    return f"web {access}"


def tunnel_layer(host: str, port: int | None) -> str:
    """The layer of asking a proxy for a tunnel to a host: accounted for by a request that needs it."""
    return f"tunnel {host.strip('[]').lower()}:{port}"


def host_and_port(resource: Resource) -> tuple[str, int | None]:
    """The host of a web address, and its port even where it is the default one."""
    scheme, host, port = resource.key[:3]
    return host, int(port) if port else _PORTS.get(scheme)


def web_address(scheme: str, host: str, port: int | None, target: str) -> str:
    """Put an address together from parts that a library keeps apart; *target* begins with a slash."""
    authority = f"[{host}]" if ":" in host and host[:1] != "[" else host
    return f"{scheme}://{authority}{'' if port is None else f':{port}'}{target}"


def text_of(value: object) -> str:
    """Text of a method, an address or a header, however a library holds it."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _may_be_another(resource: Resource, headers: Headers) -> bool:
    """
    Whether a server may take the request for one with another method, or for the beginning of another protocol.

    Raises:
        ConfigurationError: It may take it for one to another place, or for several requests.
    """
    another, seen = resource.scheme in {"ws", "wss"}, set[str]()
    for key, value in headers:
        # Servers that hand headers on as variables make no difference between `-` and `_`.
        name = text_of(key).strip().lower().replace("_", "-")
        if name == "host" and text_of(value) != _SKIPPED:
            _check_host(resource, text_of(value))
        if name in _OTHER_PATH:
            raise ConfigurationError("a request names two paths", why="a header of it names another path")
        another = another or name == "upgrade" or name in _OTHER_METHOD
        if name in seen and name in {"host", "content-length", "transfer-encoding"}:
            raise ConfigurationError("a request has a header twice", why="a header that must be unique is there twice")
        seen.add(name)
    if {"content-length", "transfer-encoding"} <= seen:
        raise ConfigurationError("a request has two lengths", why="its headers name two lengths of its body")
    return another


def _behind(action: Action, resource: Resource, tls_name: object) -> Iterable[Access]:
    """Say what is done to a place that is named for TLS only."""
    scheme, host, port = resource.key[:3]
    if not tls_name or scheme not in {"https", "wss"}:
        return ()
    named = Resource.parse(web_address(scheme, text_of(tls_name).removesuffix("."), int(port) if port else None, ""))
    return () if named.key[1] == host.removesuffix(".") else (Access(action, named),)


def is_odd(url: str, headers: Headers) -> bool:
    """Whether the headers of a request may make a server take it for another one."""
    parts = urlsplit(url)
    try:
        return _may_be_another(Resource.parse(f"{parts.scheme}://{parts.netloc}"), headers)
    except ConfigurationError:
        return True


def _check_host(resource: Resource, value: str) -> None:
    if value == resource.authority:  # as every library writes it
        return
    why = "its header Host names another place than its address"
    try:
        named = Resource.parse(f"{resource.scheme}://{value.strip()}")
    except ConfigurationError:
        raise ConfigurationError("a request has an odd Host", why=why) from None
    if named.key != resource.key[:3]:
        raise ConfigurationError("a request has another Host", why=why)


def proxy_accesses(access: Installation, host: str, port: int | None) -> tuple[Access, ...]:
    """
    Say what going through a proxy touches: nothing if the environment named it, else `execute` on its address.

    Raises:
        ConfigurationError: It has a name that no resource can have.
    """
    for value in access.proxies or _proxies_of_the_system():
        try:
            parts = urlsplit(value if "://" in value else f"http://{value}")
            named = parts.hostname, parts.port or _PORTS.get(parts.scheme, 1080)
        except ValueError:
            continue
        if named == (host.strip("[]").lower(), port):
            return ()
    return (Access("execute", Resource.parse(web_address("http", host, port, ""))),)


def peer_accesses(access: Installation, host: str, port: int | None, peer: tuple[Any, ...]) -> tuple[Access, ...]:
    """
    Say what is touched where a socket that should lead to a host leads to another place: as through a proxy.

    Of a host with a name, only the port is looked at: where a name leads is for the system to say.
    """
    there, at, *_ = peer
    if at == port and _number(host) in {None, _number(there)}:
        return ()
    return proxy_accesses(access, there.partition("%")[0], at)


def _number(host: str) -> object:
    """The address that a host is; None if it is a name."""
    import ipaddress

    try:
        found = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _proxies_of_the_system() -> Iterable[str]:
    """Those of the settings of the system, on those that have some: asked only where the environment names none."""
    import urllib.request

    for name in ("getproxies_macosx_sysconf", "getproxies_registry"):
        found = getattr(urllib.request, name, None)
        if found is not None:
            return found().values()
    return ()


def socket_accesses(path: str | bytes) -> tuple[Access, ...]:
    """
    Say what talking to a program by a Unix socket touches: `execute` on the file of the socket.

    Raises:
        ConfigurationError: It has none, or one with a name that no resource can have.
    """
    name = path if isinstance(path, str) else path.decode("utf-8", "replace")
    if not name or "\0" in name:
        raise ConfigurationError("a Unix socket has no file", why="it goes to a Unix socket without a file")
    return (Access("execute", file_resource(name)),)

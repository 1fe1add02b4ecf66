"""Real HTTP servers in threads, which remember what reached them: plain, with TLS, on a Unix socket, and as a proxy."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import os
import socket
import ssl
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BIG = 1 << 20
_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _answer(self):
        if self.path == "/early":
            return self._send(200, b"before the body")
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._read_chunked()
        if len(body) < length:  # the client went away in the middle, which is no request
            self.close_connection = True
            return None
        self.server.requests.append((self.command, self.path, body))
        path = self.path.partition("?")[0]
        if self.headers.get("Upgrade") == "websocket":
            return self._open_websocket()
        if path.startswith("/to"):
            return self._send(302, b"", Location=self.path.partition("?")[2])
        if path.startswith("/again"):
            return self._send(307, b"", Location=self.path.partition("?")[2])
        if path == "/empty":
            return self._send(204, b"")
        if path == "/busy" and [seen for seen in self.server.requests if seen[1] == self.path][1:] == []:
            return self._send(503, b"", **{"Retry-After": "0"})
        if path == "/login" and "Authorization" not in self.headers:
            return self._send(401, b"", **{"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'})
        if path == "/cut":
            return self._send_half()
        if path == "/gated":
            return self._send_gated()
        if path == "/chunked":
            return self._send_chunked()
        answer = b"x" * BIG if path == "/big" else b"hello from " + self.path.encode()
        return self._send(404 if path.startswith("/missing") else 200, b"" if self.command == "HEAD" else answer)

    def _read_chunked(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, status, answer, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _send_half(self):
        self.send_response(200)
        self.send_header("Content-Length", "99")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    def _send_gated(self):
        self.send_response(200)
        self.send_header("Content-Length", "13")
        self.end_headers()
        self.wfile.write(b"first\n")
        self.server.gate.wait(20)
        self.server.gate.clear()
        self.wfile.write(b"second\n")

    def _send_chunked(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nhello\r\n4\r\nagen\r\n1\r\nt\r\n0\r\n\r\n")

    def _open_websocket(self):
        key = self.headers["Sec-WebSocket-Key"].encode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(key + _WEBSOCKET).digest()).decode()
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.wfile.write(b"\x81\x02hi\x88\x02\x03\xe8")
        self.close_connection = True

    def do_CONNECT(self):
        self.server.requests.append((self.command, self.path, b""))
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port))) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pump, args=(there, self.connection), daemon=True)
            back.start()
            _pump(self.connection, there)
            back.join()
        self.close_connection = True

    def __getattr__(self, name):
        if name.startswith("do_"):  # whatever the method, also an odd one
            return self._answer
        raise AttributeError(name)

    def log_message(self, *_):
        """Say nothing."""


class _UnixHandler(_Handler):
    disable_nagle_algorithm = False  # it has none


def _pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one side is gone


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_):
        """A client that goes away is no news."""


class _UnixServer(_Server):
    address_family = getattr(socket, "AF_UNIX", socket.AF_INET)

    def server_bind(self):
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("unix", 0)


class _Server6(_Server):
    address_family = socket.AF_INET6


class WebServer:
    """A server on this machine; `requests` are method, target and body of each request, in their order."""

    def __init__(self, kind=_Server, address=("127.0.0.1", 0), context=None):
        self._server = kind(address, _UnixHandler if kind is _UnixServer else _Handler)
        self._server.requests = []
        self.gate = self._server.gate = threading.Event()
        self.scheme = "http"
        if context is not None:
            self.scheme = "https"
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def requests(self):
        return self._server.requests

    @property
    def port(self):
        return self._server.server_port

    @property
    def host(self):
        name = self._server.server_address[0]
        return f"[{name}]:{self.port}" if ":" in name else f"{name}:{self.port}"

    @property
    def url(self):
        return f"{self.scheme}://{self.host}"


def _self_signed(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + certificate.public_bytes(pem))
    return file


# Each test has servers of its own: a request that an earlier one never waited for may reach its server at any time.


@pytest.fixture
def web():
    """A server that nothing has reached yet, with more paths than the simplest one."""
    with WebServer() as server:
        yield server


@pytest.fixture
def other():
    """Another one: another place, or a proxy."""
    with WebServer() as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """The file of a certificate of this machine, with its key."""
    return _self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(certificate):
    """A server with TLS that nothing has reached yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with WebServer(context=context) as server:
        yield server


@pytest.fixture
def unix():
    """A server on a Unix socket, at `path`, that nothing has reached yet."""
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("this system has no Unix sockets")
    # Of its own: the path of a socket must be short.
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.realpath(Path(folder) / "s")
        with WebServer(_UnixServer, path) as server:
            server.path = path
            yield server


@pytest.fixture
def web6():
    """A server on IPv6 that nothing has reached yet."""
    try:
        server = WebServer(_Server6, ("::1", 0))
    except OSError:
        pytest.skip("this system has no IPv6")
    with server:
        yield server

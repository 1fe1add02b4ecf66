"""A real server of Redis, on a port and a socket of its own, that keeps nothing."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

redis = pytest.importorskip("redis", reason="redis is not installed")

ATTEMPTS = 5
LAST_PORT = 55536


def _free_port():
    # Below 55536: a node of a cluster has a second one, 10000 above.
    while True:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        if port < LAST_PORT:
            return port


def connection_from(client):
    """A connection of the client's pool; of an async one, what to wait for."""
    return client.connection_pool.get_connection()


class RedisServer:
    """
    A server on this machine, until the block ends; as a cluster it is the only node, and can only be read.

    With *watches* it is a sentinel instead, which knows that server as `main`.
    """

    def __init__(self, *, is_cluster=False, watches=None):
        self._is_cluster = is_cluster
        self._watches = watches

    def __enter__(self):
        self._folder = tempfile.mkdtemp(prefix="redis-")
        for _ in range(ATTEMPTS):  # somebody else may have taken the port meanwhile
            self.port = _free_port()
            if self._start():
                break
        else:
            raise RuntimeError("redis-server does not start")
        self.client = redis.Redis(port=self.port, host="127.0.0.1", decode_responses=True)
        return self

    def _start(self):
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        options += ["--dir", self._folder, "--unixsocket", self.path, "--daemonize", "no"]
        options += ["--notify-keyspace-events", "", "--enable-debug-command", "no"]
        if self._is_cluster:
            options += ["--cluster-enabled", "yes", "--cluster-allow-reads-when-down", "yes"]
        if self._watches:
            config = Path(self._folder) / "sentinel.conf"
            config.write_text(f"port {self.port}\nsentinel monitor main 127.0.0.1 {self._watches.port} 1\n")
            options = [str(config), "--sentinel"]
        self._process = subprocess.Popen(["redis-server", *options], stdout=subprocess.PIPE, text=True)
        for line in self._process.stdout:
            if "eady to accept connections" in line or "+monitor master" in line:
                return True
        self._stop()
        return False

    def _stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def __exit__(self, *_):
        self.client.close()
        self._stop()
        shutil.rmtree(self._folder)

    @property
    def path(self):
        return str(Path(self._folder) / "s.sock")

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    @property
    def monitored(self):
        """How many commands of clients it has run, by name; this question is not one of them."""
        found = self.client.info("commandstats")
        return {name.removeprefix("cmdstat_"): stats["calls"] for name, stats in found.items()}


@pytest.fixture(scope="session")
def redis_server():
    if shutil.which("redis-server") is None:
        pytest.skip("the program redis-server is not installed")
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(redis_server):
    """A cluster of one node, which answers whoever reads."""
    assert redis_server
    with RedisServer(is_cluster=True) as server:
        server.client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        yield server


@pytest.fixture(scope="session")
def sentinel(redis_server):
    with RedisServer(watches=redis_server) as server:
        yield server


@pytest.fixture
def server(redis_server):
    """The server, with nothing in it."""
    redis_server.client.flushall()
    redis_server.client.config_resetstat()
    return redis_server


@pytest.fixture
def client(server):
    """A client that was made before, and has not connected yet."""
    with redis.Redis(host="127.0.0.1", port=server.port) as made:
        yield made

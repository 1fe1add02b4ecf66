"""A real PostgreSQL server of a test session, on a port and in a folder of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path


def programs():
    """The folder of `initdb` and `pg_ctl`, or None if this machine has none."""
    found = [Path(path).parent for path in filter(None, [shutil.which("pg_ctl")])]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in found if (folder / "pg_ctl").exists() and (folder / "initdb").exists()), None)


class PostgresServer:
    """A server in a folder that goes away with it; `dsn` connects to it as its only user."""

    def __enter__(self):
        self._programs = programs()
        self._folder = Path(tempfile.mkdtemp(prefix="agentid-postgres-"))
        self._user = None
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            self._user = "nobody"
            shutil.chown(self._folder, "nobody")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.dsn = f"host=127.0.0.1 port={self.port} user=agent dbname=postgres"
        data = self._folder / "data"
        self._run("initdb", "-D", data, "-U", "agent", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", data, "-w", "-o", options, "-l", self._folder / "log", "start")
        return self

    def __exit__(self, *_):
        self._run("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program, *arguments):
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "USER": self._user or getpass.getuser()}
        subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            env=environment,
            user=self._user,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

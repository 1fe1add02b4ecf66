"""A server that takes itself for AWS, on this machine, and remembers what reached it."""

from __future__ import annotations

from functools import cached_property

import pytest

__all__ = ["S3Server", "s3", "s3_server"]


class S3Server:
    """A real server of S3 (moto), with `requests` as method and path of each that reached it."""

    def __init__(self):
        # Both in here: it is slow to load, and not everybody has it.
        server = pytest.importorskip("moto.server", reason="moto, a server that takes itself for S3, is not installed")
        self.requests = []
        self._server = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)

    def __enter__(self):
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        inner = self._server._server.app

        def app(environ, start_response):
            self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            return inner(environ, start_response)

        self._server._server.app = app
        return self

    def __exit__(self, *_):
        self._server.stop()

    def client(self, service="s3", **options):
        return self.session.client(service, **self.options, **options)

    @cached_property
    def session(self):
        """Kept, because it reads the descriptions of services once."""
        return pytest.importorskip("boto3", reason="boto3 is not installed").session.Session()

    @cached_property
    def own_client(self):
        return self.client()

    @property
    def options(self):
        return {
            "endpoint_url": self.url,
            "region_name": "us-east-1",
            "aws_access_key_id": "key",
            "aws_secret_access_key": "secret",
        }


@pytest.fixture(scope="session")
def s3_server():
    with S3Server() as server:
        yield server


@pytest.fixture
def s3(s3_server):
    """A server with a bucket and two objects in it, and nothing that has reached it since."""
    client = s3_server.own_client
    client.create_bucket(Bucket="data")
    for key in ("a/one", "a/two", "secret"):
        client.put_object(Bucket="data", Key=key, Body=b"hello from " + key.encode())
    s3_server.requests.clear()
    yield s3_server
    for name in [each["Name"] for each in client.list_buckets()["Buckets"]]:
        for each in client.list_objects_v2(Bucket=name).get("Contents", ()):
            client.delete_object(Bucket=name, Key=each["Key"])
        client.delete_bucket(Bucket=name)

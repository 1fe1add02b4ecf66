"""Ways around the decision about an operation of S3, each of which has worked somewhere: none reaches the server."""

from __future__ import annotations

import pytest

from agentid.errors import AccessDeniedError, NoActingAgentError

pytest.importorskip("boto3", reason="boto3 is not installed")

S3 = "s3://data"
EVENTS = pytest.mark.parametrize("event", ["before-call", "before-sign", "request-created", "before-send"])


@pytest.fixture
def client(s3):
    return s3.client()


@pytest.fixture
def acting(world, s3):
    """A session that may do everything at this endpoint, and what is said on its buckets."""
    actions = ("read", "write", "edit", "delete", "share", "execute")
    return lambda *allow: world.acting(*allow, *(f"{action}:{s3.url}" for action in actions))


def handle(client, event, change):
    """Let a handler of *event* do `change(headers, set_body)` to what is about to be sent."""

    def handler(request=None, params=None, **_):
        if params is not None:  # before the request is made of it
            change(params["headers"], lambda body: params.__setitem__("body", body))
            return

        def set_body(body):
            if event == "before-send":
                request.body = body
                request.headers["Content-Length"] = str(len(body))
            else:
                request.data = body

        change(request.headers, set_body)

    client.meta.events.register(f"{event}.s3", handler)


@EVENTS
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-copy-source", "data/secret"),
        ("X-Amz-Acl", "public-read"),
        ("x-amz-grant-read", 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'),
        ("Host", "other.s3.amazonaws.com"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("Upgrade", "h2c"),
    ],
)
def test_a_header_that_a_handler_adds_makes_no_other_operation_of_it(acting, client, s3, event, name, value):
    handle(client, event, lambda headers, _: headers.__setitem__(name, value))

    with acting(f"write:{S3}/a/three", f"read:{S3}/a/one"), pytest.raises(AccessDeniedError):
        client.put_object(Bucket="data", Key="a/three", Body=b"data")

    assert [] == s3.requests


@EVENTS
def test_a_source_that_a_handler_changes_is_not_copied(acting, client, s3, event):
    handle(client, event, lambda headers, _: headers.__setitem__("x-amz-copy-source", "data/secret"))

    with acting(f"write:{S3}/a/three", f"read:{S3}/a/one"), pytest.raises(AccessDeniedError):
        client.copy_object(Bucket="data", Key="a/three", CopySource="data/a/one")

    assert [] == s3.requests


@EVENTS
def test_keys_that_a_handler_puts_into_the_body_are_not_deleted(acting, client, s3, event):
    body = b"<Delete><Object><Key>secret</Key></Object></Delete>"
    handle(client, event, lambda _, set_body: set_body(body))

    with acting(f"delete:{S3}/a/one"), pytest.raises(AccessDeniedError):
        client.delete_objects(Bucket="data", Delete={"Objects": [{"Key": "a/one"}]})

    assert [] == s3.requests


@pytest.mark.parametrize(
    ("service", "operation", "change"),
    [
        ("dynamodb", "list_tables", lambda r: r.headers.__setitem__("X-Amz-Target", "DynamoDB_20120810.DeleteTable")),
        ("sts", "get_caller_identity", lambda r: setattr(r, "body", b"Action=GetSessionToken&Version=2011-06-15")),
        ("lambda", "list_functions", lambda r: setattr(r, "url", r.url.replace("functions", "layers"))),
    ],
)
def test_an_operation_of_another_service_is_not_made_another_one(world, s3, service, operation, change):
    client = s3.client(service)
    client.meta.events.register("before-send", lambda request, **_: change(request))
    name = "".join(word.title() for word in operation.split("_"))
    allow = f"execute:aws://{service}/us-east-1/{name}", f"execute:{s3.url}"

    with world.acting(*allow), pytest.raises(AccessDeniedError):
        getattr(client, operation)()
    assert [] == s3.requests

    with world.acting(*allow):
        getattr(s3.client(service), operation)()
    assert 1 == len(s3.requests)


def test_a_proxy_that_a_client_names_is_a_place_of_its_own(world, acting, s3, other):
    from botocore.config import Config

    client = s3.client(config=Config(proxies={"http": other.url}))
    with acting(f"read:{S3}/a/one"), pytest.raises(AccessDeniedError):
        client.get_object(Bucket="data", Key="a/one")
    assert [] == s3.requests == other.requests

    with acting(f"read:{S3}/a/one", f"execute:{other.url}"):
        client.get_object(Bucket="data", Key="a/one")
    assert [("GET", f"{s3.url}/data/a/one", b"")] == other.requests
    assert (f"execute:{other.url}", "success") in world.touched


def test_a_proxy_of_the_environment_changes_nothing(world, acting, s3, other, name_proxy):
    name_proxy("http_proxy", other.url)
    with acting(f"read:{S3}/a/one"):
        s3.client().get_object(Bucket="data", Key="a/one")

    assert [("GET", f"{s3.url}/data/a/one", b"")] == other.requests


@pytest.mark.parametrize(
    "bucket",
    [
        "arn:aws:s3:us-east-1:123456789012:accesspoint/ap",
        "arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap",
        "arn:aws:s3-outposts:us-east-1:123456789012:outpost/op/accesspoint/ap",
        "ap-123456789012-s3alias",
        *("data/../x", "data?x", "data/secret", "data%2fsecret", "data#"),
    ],
)
def test_a_bucket_by_another_name_is_another_one_or_none(acting, client, s3, bucket):
    with acting(f"read:{S3}/**"), pytest.raises(AccessDeniedError):
        client.get_object(Bucket=bucket, Key="a/one")

    assert [] == s3.requests


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: list(c.get_paginator("list_objects_v2").paginate(Bucket="data")),
        lambda c: c.get_waiter("object_exists").wait(Bucket="data", Key="secret"),
        lambda c: c._endpoint.http_session.send(_request(c, "/data/secret").prepare()),
        lambda c: c._endpoint._send(_request(c, "/data/secret").prepare()),
    ],
    ids=["paginator", "waiter", "session of the layer below", "endpoint"],
)
def test_what_is_made_of_a_client_is_guarded(acting, client, s3, ask):
    with acting(f"read:{S3}/a/one"), pytest.raises(AccessDeniedError):
        ask(client)

    assert [] == s3.requests


def _request(client, path):
    from botocore.awsrequest import AWSRequest

    return AWSRequest("GET", f"{client.meta.endpoint_url}{path}")


@pytest.mark.parametrize(
    "read",
    [
        lambda body: body.read(),
        lambda body: body.readinto(bytearray(9)),
        lambda body: next(body.iter_lines()),
        lambda body: next(body.iter_chunks()),
        lambda body: body.readlines() if hasattr(body, "readlines") else body.read(),
    ],
    ids=["read", "readinto", "iter_lines", "iter_chunks", "readlines"],
)
def test_the_body_of_an_object_is_not_read_after_the_session(world, acting, client, read):
    with acting(f"read:{S3}/a/one"):
        bodies = [client.get_object(Bucket="data", Key="a/one")["Body"] for _ in range(2)]

    with pytest.raises(NoActingAgentError):
        read(bodies[0])
    with world.acting(f"read:{S3}/a/one"), pytest.raises(NoActingAgentError):
        read(bodies[1])
    for body in bodies:
        body.close()

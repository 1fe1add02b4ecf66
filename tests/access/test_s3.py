"""`boto3`: each operation is decided on its bucket and keys, before anything is sent."""

from __future__ import annotations

import io
import threading
import urllib.parse

import pytest

from agentid.access.s3.operations import accesses_of
from agentid.access.s3.requests import is_of_aws
from agentid.errors import AccessDeniedError, ConfigurationError, CredentialRevokedError
from agentid.guard import ObserveOnlyGuard

pytest.importorskip("boto3", reason="boto3 is not installed")

S3 = "s3://data"


@pytest.fixture
def client(s3):
    return s3.client()


@pytest.fixture
def acting(world, s3):
    """A session that may do everything at this endpoint, and what is said on its buckets."""
    actions = ("read", "write", "edit", "delete", "share", "execute")
    return lambda *allow, **options: world.acting(*allow, *(f"{action}:{s3.url}" for action in actions), **options)


def on_s3(world):
    return [(*(str(a) for a in r.accesses if a.resource.scheme != "http"), r.status) for r in world.records]


def test_an_object_that_may_be_read_is_read_and_recorded_once(world, acting, client, s3):
    with acting(f"read:{S3}/a/*"):
        body = client.get_object(Bucket="data", Key="a/one")["Body"].read()

    assert b"hello from a/one" == body
    assert [(f"read:{S3}/a/one", f"read:{s3.url}", "success")] == world.touched
    (span,) = world.spans
    assert ("S3/GetObject", "CLIENT") == (span.name, span.kind.name)
    attributes = dict(span.attributes)
    assert ("data", "a/one", 200, "127.0.0.1") == tuple(
        attributes[name] for name in ("aws.s3.bucket", "aws.s3.key", "http.response.status_code", "server.address")
    )
    assert len(body) == world.records[0].size
    assert [("GET", "/data/a/one")] == s3.requests


# name: the call, and which accesses it needs
OPERATIONS = {
    "get": (lambda c: c.get_object(Bucket="data", Key="secret"), [f"read:{S3}/secret"]),
    "head": (lambda c: c.head_object(Bucket="data", Key="secret"), [f"read:{S3}/secret"]),
    "select": (
        lambda c: c.select_object_content(
            Bucket="data",
            Key="secret",
            Expression="select * from s3object",
            ExpressionType="SQL",
            InputSerialization={"JSON": {"Type": "LINES"}},
            OutputSerialization={"JSON": {}},
        )["Payload"].close(),
        [f"read:{S3}/secret"],
    ),
    "put": (lambda c: c.put_object(Bucket="data", Key="new", Body=b"x"), [f"write:{S3}/new"]),
    "put for everybody": (
        lambda c: c.put_object(Bucket="data", Key="new", Body=b"x", ACL="public-read"),
        [f"write:{S3}/new", f"share:{S3}/new"],
    ),
    "put for somebody": (
        lambda c: c.put_object(Bucket="data", Key="new", Body=b"x", GrantRead="id=x"),
        [f"write:{S3}/new", f"share:{S3}/new"],
    ),
    "multipart": (lambda c: c.create_multipart_upload(Bucket="data", Key="new"), [f"write:{S3}/new"]),
    "delete": (lambda c: c.delete_object(Bucket="data", Key="secret"), [f"delete:{S3}/secret"]),
    "delete several": (
        lambda c: c.delete_objects(Bucket="data", Delete={"Objects": [{"Key": "a/one"}, {"Key": "secret"}]}),
        [f"delete:{S3}/a/one", f"delete:{S3}/secret"],
    ),
    "copy": (
        lambda c: c.copy_object(Bucket="data", Key="new", CopySource={"Bucket": "data", "Key": "secret"}),
        [f"write:{S3}/new", f"read:{S3}/secret"],
    ),
    "copy by text": (
        lambda c: c.copy_object(Bucket="data", Key="new", CopySource="data/secret"),
        [f"write:{S3}/new", f"read:{S3}/secret"],
    ),
    "list": (lambda c: c.list_objects_v2(Bucket="data"), [f"read:{S3}"]),
    "list the old way": (lambda c: c.list_objects(Bucket="data"), [f"read:{S3}"]),
    "paginate": (lambda c: list(c.get_paginator("list_objects_v2").paginate(Bucket="data")), [f"read:{S3}"]),
    "wait": (lambda c: c.get_waiter("object_exists").wait(Bucket="data", Key="secret"), [f"read:{S3}/secret"]),
    "make a bucket": (lambda c: c.create_bucket(Bucket="other"), ["write:s3://other"]),
    "list buckets": (lambda c: c.list_buckets(), ["read:aws://s3/us-east-1/ListBuckets"]),
    "share": (lambda c: c.put_object_acl(Bucket="data", Key="secret", ACL="public-read"), [f"share:{S3}/secret"]),
    "policy": (lambda c: c.delete_bucket_policy(Bucket="data"), [f"share:{S3}"]),
    "not known": (lambda c: c.delete_bucket_lifecycle(Bucket="data"), [f"execute:{S3}"]),
}


@pytest.mark.parametrize("way", OPERATIONS)
def test_an_operation_needs_each_of_its_permissions(world, acting, client, s3, way):
    does, needed = OPERATIONS[way]

    for missing in needed:
        with acting(*(text for text in needed if text != missing)), pytest.raises(AccessDeniedError):
            does(client)
    assert [] == s3.requests
    world.records.clear()
    with acting(*needed):
        does(client)

    assert needed == [text for record in on_s3(world)[:1] for text in record[:-1]]


def test_another_service_is_executed(world, acting, s3):
    client = s3.client("sts")

    with acting("execute:aws://sqs/**"), pytest.raises(AccessDeniedError):
        client.get_caller_identity()
    assert [] == s3.requests
    with acting("execute:aws://sts/us-east-1/GetCallerIdentity"):
        assert client.get_caller_identity()["Account"]

    assert ("execute:aws://sts/us-east-1/GetCallerIdentity", "success") == on_s3(world)[-1]


def test_an_endpoint_that_is_not_of_aws_is_asked_about(world, client, s3):
    with world.acting(f"read:{S3}/**"), pytest.raises(AccessDeniedError):
        client.get_object(Bucket="data", Key="secret")

    assert [] == s3.requests


def test_a_client_made_in_a_session_reads_its_own_descriptions(world, acting, s3):
    session = pytest.importorskip("boto3").session.Session()
    with acting(f"read:{S3}/secret"):
        session.client("s3", **s3.options).get_object(Bucket="data", Key="secret")


# --- ways around -----------------------------------------------------------------------------------------------------


PRESIGNED = {
    "get": (lambda c: c.generate_presigned_url("get_object", {"Bucket": "data", "Key": "secret"}), "read"),
    "put": (lambda c: c.generate_presigned_url("put_object", {"Bucket": "data", "Key": "secret"}), "write"),
    "delete": (lambda c: c.generate_presigned_url("delete_object", {"Bucket": "data", "Key": "secret"}), "delete"),
    "form": (lambda c: c.generate_presigned_post("data", "secret"), "write"),
}


@pytest.mark.parametrize("way", PRESIGNED)
def test_a_presigned_url_gives_access_away(world, acting, client, way):
    signs, action = PRESIGNED[way]
    needed = [f"{action}:{S3}/secret", f"share:{S3}/secret"]

    for missing in needed:
        with acting(*(text for text in needed if text != missing)), pytest.raises(AccessDeniedError):
            signs(client)
    with acting(*needed):
        assert signs(client)


def test_a_presigned_url_by_another_method_is_what_that_does(world, acting, client):
    given = {"Bucket": "data", "Key": "secret"}

    with acting(f"read:{S3}/secret", f"share:{S3}/secret"), pytest.raises(AccessDeniedError):
        client.generate_presigned_url("get_object", given, HttpMethod="DELETE")
    with acting(f"read:{S3}/secret", f"share:{S3}/secret", f"delete:{S3}/secret"):
        assert client.generate_presigned_url("get_object", given, HttpMethod="DELETE")


def test_a_request_put_together_by_hand_is_not_signed(world, acting, client, s3):
    request = {"url_path": "/data/secret", "query_string": {}, "method": "GET", "headers": {}, "body": b""}
    request |= {"url": f"{s3.url}/data/secret", "context": {}}

    with acting(f"read:{S3}/**", f"share:{S3}/**"), pytest.raises(AccessDeniedError):
        client._request_signer.generate_presigned_url(request, "GetObject")


def test_a_form_for_any_key_is_no_form_for_one(world, acting, client):
    with acting(f"write:{S3}/a", f"share:{S3}/a"), pytest.raises(AccessDeniedError):
        client.generate_presigned_post("data", "a/${filename}")


def test_a_handler_that_changes_the_parameters_is_decided_again(world, acting, client, s3):
    def changes(params, **_):
        params["Key"] = "secret"

    for event in ("provide-client-params", "before-parameter-build"):
        client.meta.events.register(f"{event}.s3.GetObject", changes)
        with acting(f"read:{S3}/a/*"), pytest.raises(AccessDeniedError):
            client.get_object(Bucket="data", Key="a/one")
        client.meta.events.unregister(f"{event}.s3.GetObject", changes)

    assert [] == s3.requests


@pytest.mark.parametrize("event", ["before-call", "before-send", "before-sign", "request-created"])
@pytest.mark.parametrize("change", ["key", "method", "query", "host"])
def test_a_handler_that_changes_what_is_sent_is_decided_again(world, acting, client, s3, http, event, change):
    def changes(request=None, params=None, **_):
        if params is not None:  # before the request is made of it
            params["method"] = "DELETE" if change == "method" else params["method"]
            params["url"] = changed(params["url"])
            return
        request.method = "DELETE" if change == "method" else request.method
        request.url = changed(request.url)

    def changed(url):
        return {
            "key": url.replace("a/one", "secret"),
            "query": f"{url}?acl",
            "host": url.replace(s3.url, http.url),
            "method": url,
        }[change]

    client.meta.events.register(f"{event}.s3.GetObject", changes)
    with acting(f"read:{S3}/a/*"), pytest.raises(AccessDeniedError):
        client.get_object(Bucket="data", Key="a/one")

    assert [] == s3.requests == http.requests


def test_a_handler_of_events_runs_as_the_agent(world, acting, client, http):
    import urllib.request

    def calls_elsewhere(**_):
        urllib.request.urlopen(http.url)

    client.meta.events.register("before-call.s3.GetObject", calls_elsewhere)
    with acting(f"read:{S3}/a/*"), pytest.raises(AccessDeniedError):
        client.get_object(Bucket="data", Key="a/one")

    assert [] == http.requests


def test_parameters_that_change_while_it_is_decided_are_those_that_were_decided(world, acting, client, s3):
    objects = [{"Key": "a/one"}]

    class Approver:
        def __call__(self, request):
            objects[0]["Key"] = "secret"
            objects.append({"Key": "a/two"})
            return True

    guard = world.make_guard(approver=Approver())
    ask = [f"delete:{S3}/a/one"]
    with acting(ask=ask, guard=guard):
        client.delete_objects(Bucket="data", Delete={"Objects": objects})

    left = [each["Key"] for each in client.list_objects_v2(Bucket="data")["Contents"]]
    assert ["a/two", "secret"] == left


def test_a_transfer_is_the_agents_in_the_threads_that_it_runs_in(world, acting, client, s3):
    with acting(f"read:{S3}/secret", f"write:{S3}/new"):
        target = io.BytesIO()
        client.download_fileobj("data", "secret", target)
        client.upload_fileobj(io.BytesIO(b"x"), "data", "new")
    assert b"hello from secret" == target.getvalue()
    assert {"success"} == {record.status for record in world.records}
    assert 3 == len(world.records)

    s3.requests.clear()
    with acting(f"read:{S3}/a/*"):
        for call in (
            lambda: client.download_fileobj("data", "secret", io.BytesIO()),
            lambda: client.upload_fileobj(io.BytesIO(b"x"), "data", "new"),
            lambda: client.copy({"Bucket": "data", "Key": "secret"}, "data", "new"),
        ):
            with pytest.raises(AccessDeniedError):
                call()
    assert [] == s3.requests


def test_a_large_transfer_is_the_agents_in_each_of_its_parts(world, acting, client, s3):
    from boto3.s3.transfer import TransferConfig

    megabytes = 1024 * 1024
    config = TransferConfig(multipart_threshold=5 * megabytes, multipart_chunksize=5 * megabytes)
    with acting(f"write:{S3}/new"):
        client.upload_fileobj(io.BytesIO(bytes(6 * megabytes)), "data", "new", Config=config)

    assert {(f"write:{S3}/new", "success")} == set(on_s3(world))
    assert 4 == len(world.records)


def test_a_transfer_of_a_file_touches_the_file(world, acting, client, s3, tmp_path):
    (tmp_path / "secret").write_text("x")

    with acting(f"write:{S3}/new"), pytest.raises(AccessDeniedError):
        client.upload_file(str(tmp_path / "secret"), "data", "new")
    with acting(f"read:{S3}/secret"), pytest.raises(AccessDeniedError):
        client.download_file("data", "secret", str(tmp_path / "new"))

    assert [] == [path for _, path in s3.requests if path.endswith("new")]
    assert not (tmp_path / "new").exists()


def test_a_resource_is_a_client(world, acting, s3):
    bucket = s3.session.resource("s3", **s3.options).Bucket("data")

    with acting(f"read:{S3}/**"):
        for call in (
            lambda: list(bucket.objects.all()),
            lambda: bucket.Object("secret").delete(),
            lambda: bucket.put_object(Key="new", Body=b"x"),
        ):
            with pytest.raises(AccessDeniedError):
                call()
    with acting(f"read:{S3}"), pytest.raises(AccessDeniedError):
        bucket.objects.all().delete()

    assert {("GET", "/data")} == set(s3.requests)


def test_a_client_made_before_is_guarded_too(world, acting, client, s3, installed):
    with acting(), pytest.raises(AccessDeniedError):
        client.get_object(Bucket="data", Key="secret")

    assert [] == s3.requests


def test_the_body_of_an_object_ends_for_an_agent_that_was_taken_back(world, s3, client):
    agent = world.authority.issue("bot", allow=[f"read:{S3}/**", f"read:{s3.url}"])

    with world.guard.acting_as(agent):
        body = client.get_object(Bucket="data", Key="secret")["Body"]
        assert b"hello" == body.read(5)
        world.authority.revoke(agent)
        for read in (body.read, lambda: body.readinto(bytearray(5)), lambda: next(iter(body))):
            with pytest.raises(CredentialRevokedError):
                read()
        body.close()


def test_another_thread_that_the_session_did_not_follow_into_is_nobody(world, acting, client):
    with acting():
        thread = threading.Thread(target=lambda: client.head_bucket(Bucket="data"))
        thread.start()
        thread.join()

    assert [] == world.touched


@pytest.mark.parametrize(
    ("host", "service", "expected"),
    [
        ("s3.amazonaws.com", "s3", True),
        ("data.s3.amazonaws.com", "s3", True),
        ("my.data.s3.eu-west-1.amazonaws.com", "s3", True),
        ("s3.dualstack.us-gov-west-1.amazonaws.com", "s3", True),
        ("s3-eu-west-1.amazonaws.com", "s3", True),
        ("data.s3-accelerate.amazonaws.com", "s3", True),
        ("s3.cn-north-1.amazonaws.com.cn", "s3", True),
        ("sts.amazonaws.com", "sts", True),
        ("sqs.us-east-1.amazonaws.com", "sqs", True),
        ("ec2-1-2-3-4.compute-1.amazonaws.com", "s3", False),
        ("ec2-1-2-3-4.compute-1.amazonaws.com", "ec2", False),
        ("s3-mine-123.us-east-1.elb.amazonaws.com", "s3", False),
        ("x.execute-api.us-east-1.amazonaws.com", "s3", False),
        ("s3.amazonaws.com.evil.example", "s3", False),
        ("evils3.amazonaws.com", "s3", False),
        ("s3.amazonaws.com", "sts", False),
        ("", "s3", False),
    ],
)
def test_an_address_is_of_aws_by_its_whole_name(host, service, expected):
    """Anybody can have a machine in the domain of AWS."""
    assert expected == is_of_aws(host, service)


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("GetObject", {"Bucket": "data"}),
        ("GetObject", {"Bucket": "data", "Key": "a//b"}),
        ("GetObject", {"Bucket": "data", "Key": "../secret"}),
        ("GetObject", {"Bucket": "data", "Key": 1}),
        ("GetObject", {"Bucket": "arn:aws:s3:us-east-1:1:accesspoint/x", "Key": "a"}),
        ("DeleteObjects", {"Bucket": "data"}),
        ("DeleteObjects", {"Bucket": "data", "Delete": {"Objects": [{}]}}),
        ("CopyObject", {"Bucket": "data", "Key": "a"}),
        ("CopyObject", {"Bucket": "data", "Key": "a", "CopySource": "data/b?x=y"}),
        ("CopyObject", {"Bucket": "data", "Key": "a", "CopySource": "arn:aws:s3:::data/b"}),
    ],
)
def test_what_names_no_object_is_refused(operation, given):
    with pytest.raises(ConfigurationError):
        accesses_of(operation, given)


@pytest.mark.parametrize("key", ["a//b", "../secret", "a*"])
def test_a_key_that_no_resource_can_have_is_refused_and_recorded(world, acting, client, s3, key):
    with acting(f"read:{S3}/**"), pytest.raises(AccessDeniedError):
        client.get_object(Bucket="data", Key=key)

    assert [] == s3.requests
    assert [("denied",)] == world.touched


def test_a_slash_at_the_end_of_a_key_names_what_it_follows(acting, client):
    with acting(f"write:{S3}/folder"):
        client.put_object(Bucket="data", Key="folder/")


def test_errors_of_the_server_are_passed_on(world, acting, client):
    from botocore.exceptions import ClientError

    with acting(f"read:{S3}/**"), pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket="data", Key="missing")

    assert (f"read:{S3}/missing", "failure") == on_s3(world)[-1]


def test_outside_of_a_session_nothing_is_decided(world, client):
    assert client.get_object(Bucket="data", Key="secret")["Body"].read()
    url = client.generate_presigned_url("get_object", {"Bucket": "data", "Key": "secret"})

    assert "secret" in urllib.parse.urlsplit(url).path
    assert client.generate_presigned_post("data", "secret")
    assert ([], ()) == (world.touched, world.spans)


def test_a_guard_that_only_observes_lets_it_through(world, client):
    with world.acting(guard=world.make_guard(ObserveOnlyGuard)):
        assert client.get_object(Bucket="data", Key="secret")["Body"].read()
        assert client.generate_presigned_url("get_object", {"Bucket": "data", "Key": "secret"}, HttpMethod="PUT")
        client.download_fileobj("data", "secret", io.BytesIO())

    assert {"would_deny"} == {record.effect for record in world.records}


def test_no_body_and_no_key_of_the_agent_is_recorded(world, acting, client):
    with acting(f"write:{S3}/new"):
        client.put_object(Bucket="data", Key="new", Body=b"hush", Metadata={"m": "hush"})

    assert "hush" not in repr([world.spans[0].to_json(), world.records, world.audit.lines])

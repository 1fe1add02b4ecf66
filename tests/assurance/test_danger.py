"""What about a permission a person should look at first."""

from __future__ import annotations

import pytest

from agentid.assurance.danger import dangers_of, holds_secrets
from agentid.config import PlaceRule
from agentid.permission import Permission
from agentid.resource import Resource, ResourcePattern


def dangers(text, **facts):
    return "; ".join(dangers_of(Permission.parse(text), **facts))


@pytest.mark.parametrize(
    ("permission", "said"),
    [
        ("execute:jobs/nightly", "it runs something"),
        ("execute:file:///opt/python/bin/python3.12", "any program or code"),
        ("execute:file:///usr/bin/bash", "any program or code"),
        ("execute:file:///C:/Windows/System32/cmd.exe", "any program or code"),
        ("write:file:///srv/app/agentid.toml", "what agents may do"),
        ("edit:file:///srv/app/.agentid/audit/x.jsonl", "what agents may do"),
        ("delete:crm/customers/1", "it removes"),
        ("share:crm/customers/1", "it gives data to others"),
        ("execute:postgres://db/crm", "a whole database"),
        ("execute:postgres://db", "a whole database"),
        ("execute:sqlite:///srv/data/app.db", "a whole database"),
        ("read:sqlite:///{}/app.db/main/x".format("tmp"), "a temporary place"),
        ("read:file:///*", "the root of a file system"),
        ("write:https://host", "the root of a place"),
        ("read:crm/**", "any depth"),
        ("read:file:///home/ada/.ssh/config", "secrets"),
        ("read:file:///srv/app/.env", "secrets"),
        ("read:file:///srv/app/.env.local", "secrets"),
        ("read:file:///etc/shadow", "secrets"),
        ("read:file:///home/ada/.aws/credentials", "secrets"),
        ("read:file:///srv/tls/server.key", "secrets"),
        ("read:file:///proc/self/environ", "secrets"),
        ("read:s3://bucket/client_secrets.json", "secrets"),
        ("read:http://169.254.169.254/latest/meta-data", "a cloud hands out credentials"),
        ("read:http://metadata.google.internal/x", "a cloud hands out credentials"),
        ("write:file:///{}/x".format("tmp"), "a temporary place"),
        ("write:file:///{}/var/folders/x".format("private"), "a temporary place"),
        ("write:file:///Users/ada/AppData/Local/Temp/x", "a temporary place"),
        ("read:file:///srv/app/*", "also one such as `.env`"),
        ("read:https://api.stripe.com/v1/charges", "belongs to others"),
        ("read:https://8.8.8.8/x", "belongs to others"),
    ],
)
def test_what_looks_dangerous_is_said(permission, said):
    assert said in dangers(permission)


@pytest.mark.parametrize(
    "permission",
    [
        "read:crm/customers/*",
        "write:mail/outbox/*",
        "read:postgres://db/crm/public/orders",
        "read:sqlite:///srv/data/app.db/main/*",
        "read:file:///srv/data/report-*.csv",
        "read:http://localhost:8000/x",
        "read:http://127.0.0.1/x",
        "read:http://10.0.0.7/x",
        "read:http://[::1]/x",
        "read:https://intranet/x",
        "read:https://wiki.internal/x",
        "read:file:///srv/environment/x.csv",
        "read:file:///srv/tmp/x.csv",
    ],
)
def test_what_is_ordinary_is_not(permission):
    assert "" == dangers(permission)


def test_a_host_of_ones_own_trust_domain_is_no_stranger():
    assert "" == dangers("read:https://api.acme.example/x", trust_domain="acme.example")
    assert "belongs to others" in dangers("read:https://acme.example.evil.example/x", trust_domain="acme.example")
    assert "belongs to others" in dangers("read:https://evilacme.example/x", trust_domain="acme.example")


def test_the_configuration_knows_better_which_hosts_belong_to_others():
    places = [PlaceRule(ResourcePattern.parse("https://api.mailer.example/**"), "store")]
    others = [PlaceRule(ResourcePattern.parse("https://api.acme.example/**"), "third-party")]

    assert "" == dangers("read:https://api.mailer.example/x", places=places)
    assert "belongs to others" in dangers("read:https://api.acme.example/x", places=others, trust_domain="acme.example")


def test_places_of_secrets_are_known_by_the_name_of_any_part():
    assert holds_secrets(Resource.parse("file:///home/ada/.SSH/known_hosts"))
    assert holds_secrets(ResourcePattern.parse("file:///home/*/.aws/*"))
    assert not holds_secrets(Resource.parse("file:///home/ada/ssh.txt"))

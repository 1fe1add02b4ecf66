from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from agentid.config import Config, DataRule, FlowRule, Limit, PlaceRule
from agentid.constraint import at_most
from agentid.errors import ConfigurationError
from agentid.permission import Permission
from agentid.policy import Policy
from agentid.policy.request import NO_ARGUMENTS, AccessRequest
from agentid.resource import Resource, ResourcePattern

DATA = DataRule(ResourcePattern.parse("crm/customers/**"), ("pii", "customer"), "real")


def test_a_policy_without_rules_forbids_nothing():
    policy = Policy()

    assert policy.forbid == policy.ask == policy.data == policy.places == policy.flows == ()
    assert policy.limits == {}
    assert policy.environment == ""
    assert policy.approval_timeout == timedelta(minutes=5)


def test_text_is_read_as_permissions():
    assert (Permission.parse("read:a/*"),) == Policy(forbid=["read:a/*"]).forbid
    assert (Permission.parse("read:a/*"),) == Policy(ask=[Permission.parse("read:a/*")]).ask


@pytest.mark.parametrize("where", ["forbid", "ask"])
def test_a_rule_that_depends_on_arguments_is_refused(where):
    """`forbid … where amount at_least 100` would not forbid a transfer of "1000", so it must not look as if it did."""
    rule = Permission.parse("write:bank/*").where(amount=at_most(100))

    with pytest.raises(ConfigurationError, match="constrained by arguments") as caught:
        Policy(**{where: ["read:a/*", rule]})

    assert caught.value.what.startswith(where)
    assert "slip past" in caught.value.why
    assert "granted" in caught.value.fix


@pytest.mark.parametrize("timeout", [timedelta(0), timedelta(seconds=-1), timedelta(days=7, seconds=1), timedelta.max])
def test_a_timeout_out_of_range_is_refused(timeout):
    with pytest.raises(ConfigurationError, match="approval_timeout"):
        Policy(approval_timeout=timeout)


@pytest.mark.parametrize("timeout", [timedelta(microseconds=1), timedelta(days=7)])
def test_a_timeout_at_either_end_of_the_range_is_taken(timeout):
    assert timeout == Policy(approval_timeout=timeout).approval_timeout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"forbid": "read:a/*"}, "forbid"),
        ({"forbid": ["look:a/*"]}, "look"),
        ({"forbid": [7]}, "int"),
        ({"forbid": None}, "forbid"),
        ({"ask": 7}, "ask"),
        ({"data": [{"resource": "a"}]}, "DataRule"),
        ({"data": None}, "DataRule"),
        ({"places": [DATA]}, "PlaceRule"),
        ({"flows": "pii"}, "FlowRule"),
        ({"limits": [Limit("rows", timedelta(hours=1), 1)]}, "limits"),
        ({"limits": 0}, "limits"),
        ({"limits": {"bot": 5}}, "Limit"),
        ({"limits": {"bot": [5]}}, "Limit"),
        ({"environment": None}, "environment"),
        ({"approval_timeout": 300}, "approval_timeout"),
        ({"approval_timeout": None}, "approval_timeout"),
    ],
)
def test_nonsense_is_refused_in_our_words(arguments, named):
    with pytest.raises(ConfigurationError, match=named):
        Policy(**arguments)


def test_a_policy_does_not_change_with_what_it_was_made_of():
    rows = [Limit("rows", timedelta(hours=1), 1000)]
    limits = {"bot": rows}
    policy = Policy(limits=limits)

    rows.clear()
    limits.clear()

    assert policy.limits == {"bot": (Limit("rows", timedelta(hours=1), 1000),)}
    with pytest.raises(TypeError):
        policy.limits["bot"] = ()
    with pytest.raises(AttributeError):
        policy.forbid = ()


def test_labels_of_a_resource_are_those_of_every_rule_that_matches():
    policy = Policy(data=[DATA, DataRule(ResourcePattern.parse("crm/*/c-1"), ("vip", "pii"))])

    def labels(text):
        return policy.labels(Resource.parse(text).key)

    assert labels("crm/customers/c-1") == ("customer", "pii", "vip")
    assert labels("crm/customers/c-2") == ("customer", "pii")
    assert labels("crm/orders/o-1") == ()


def test_a_policy_is_loaded_from_a_file(tmp_path):
    path = tmp_path / "agentid.toml"
    path.write_text(
        """\
environment = "prod"
forbid = ["delete:**"]
ask = ["share:**"]
[agents.bot]
[[data]]
resource = "crm/customers/**"
labels = ["pii", "customer"]
origin = "real"
[[place]]
resource = "https://api.mailer.example/**"
kind = "third-party"
[[flow]]
label = "pii"
to = "third-party"
[limits.bot]
rows_per_hour = 1000
[approval]
timeout_seconds = 60
""",
        encoding="utf-8",
    )

    policy = Policy.load(path)

    assert policy == Policy(
        forbid=["delete:**"],
        ask=["share:**"],
        data=[DATA],
        places=[PlaceRule(ResourcePattern.parse("https://api.mailer.example/**"), "third-party")],
        flows=[FlowRule("pii", "third-party", "deny")],
        limits={"bot": [Limit("rows", timedelta(hours=1), 1000)]},
        environment="prod",
        approval_timeout=timedelta(minutes=1),
    )
    assert policy == Policy.load(str(path)) == Policy.of(Config.load(path))


def test_a_policy_file_that_is_missing_or_wrong_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigurationError, match="no such file"):
        Policy.load()

    Path("agentid.toml").write_text('forbid = ["destroy:**"]', encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"agentid\.toml, line 1: .*destroy"):
        Policy.load()


def test_the_policy_package_reads_no_file_format_and_knows_no_key():
    """`policy` is pure: what it needs is loaded with it, so this shows in the modules of a clean process."""
    code = (
        "import sys, agentid.policy;"
        "print(sorted({'tomllib','tomli','pydantic','jwt','cryptography','opentelemetry','asyncio','sqlite3','wrapt',"
        "'agentid.config.reader','agentid.identity','agentid.record','agentid.guard'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n"


def test_a_request_is_complete_without_arguments():
    request = AccessRequest("spiffe://a/agent/b", "read", Resource.parse("a/b"))

    assert request.arguments is request.context is NO_ARGUMENTS
    assert request.labels == ()
    with pytest.raises(TypeError):
        request.arguments["x"] = 1

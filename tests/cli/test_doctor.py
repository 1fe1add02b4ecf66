"""`agentid doctor`: what it finds, and that it changes nothing."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys

import pytest
from systems import needs_posix

from agentid import Authority

CONFIGURATION = """\
trust_domain = "acme.example"
authority = "keys/authority.pem"

[agents.support-bot]
owner = "team:support"
allow = ["read:crm/customers/*"]
ask = ["write:mail/outbox/*"]
"""


@pytest.fixture
def findings(run):
    """Run the doctor and give its exit code, and level and detail of each finding."""

    def findings(*arguments):
        ran = run("doctor", "--json", *arguments)
        assert "" == ran.err
        found = json.loads(ran.out)
        assert {"level", "what", "detail"} == set(found[0])
        return ran.code, {finding["what"]: (finding["level"], finding["detail"]) for finding in found}

    return findings


def test_a_sound_installation_without_configuration_is_good(run, findings, folder):
    code, found = findings()

    assert 0 == code
    assert {"ok", "warn"} == {level for level, _ in found.values()}
    assert ("ok", importlib.metadata.version("pyjwt")) == found["pyjwt"]
    assert ("ok", platform.python_version()) == found["python"]
    assert ("warn", "no agentid.toml here or above; defaults are used") == found["configuration"]
    assert "warn" == found["authority"][0]
    assert [] == list(folder.iterdir())


def test_text_and_json_say_the_same(run, findings):
    _, found = findings()
    lines = run("doctor").out.splitlines()

    assert [(level, what) for what, (level, _) in found.items()] == [tuple(line.split()[:2]) for line in lines]
    for line, (_, detail) in zip(lines, found.values(), strict=True):
        assert line.endswith(detail)


def test_the_nearest_configuration_is_found_from_a_folder_below(findings, folder, monkeypatch):
    (folder / "agentid.toml").write_text(CONFIGURATION, encoding="utf-8")
    Authority.open(folder / "keys" / "authority.pem", trust_domain="acme.example")
    (folder / "deep" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(folder / "deep" / "deeper")
    code, found = findings()

    assert 0 == code
    assert ("ok", str(folder / "agentid.toml")) == found["configuration"]
    assert ("ok", "1 allowed, 1 asked, owner team:support") == found["agent support-bot"]
    assert ("ok", f"{folder / 'keys' / 'authority.pem'}, trust domain acme.example") == found["authority"]


def test_an_address_for_spans_that_is_none_is_a_failure(findings, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "junk://%%")
    code, found = findings()

    assert 1 == code
    assert ("fail", "junk://%% is no http or https address") == found["spans"]


def test_a_named_configuration_comes_before_the_nearest(findings, folder):
    (folder / "agentid.toml").write_text("nonsense = 1\n", encoding="utf-8")
    (folder / "other.toml").write_text(CONFIGURATION, encoding="utf-8")

    assert 2 == findings()[0]
    assert 0 == findings("--config", "other.toml")[0]


def test_an_authority_that_is_missing_is_not_made(findings, folder):
    (folder / "agentid.toml").write_text(CONFIGURATION, encoding="utf-8")
    code, found = findings()

    assert 0 == code
    assert "warn" == found["authority"][0]
    assert found["authority"][1].endswith("does not exist yet; it is made when first used")
    assert not (folder / "keys").exists()


def test_a_wrong_configuration_is_a_failure_with_its_line(findings, folder):
    (folder / "agentid.toml").write_text('trust_domain = "acme.example"\n[agent.x]\n', encoding="utf-8")
    code, found = findings()

    assert 2 == code
    assert "fail" == found["configuration"][0]
    assert "line 2" in found["configuration"][1]
    assert "`agents`" in found["configuration"][1]


@needs_posix
def test_a_key_file_that_others_can_read_is_a_failure_and_says_what_to_do(findings, folder):
    (folder / "agentid.toml").write_text(CONFIGURATION, encoding="utf-8")
    key = folder / "keys" / "authority.pem"
    Authority.open(key, trust_domain="acme.example")
    key.chmod(0o644)
    code, found = findings()

    assert 1 == code
    assert "fail" == found["authority"][0]
    assert "others can read or change it" in found["authority"][1]
    assert f"chmod 600 {key}" in found["authority"][1]
    assert 0o644 == key.stat().st_mode & 0o777


@pytest.mark.parametrize(
    "content", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n"]
)
def test_a_broken_key_file_is_a_failure_that_shows_nothing_of_it(findings, folder, content):
    (folder / "agentid.toml").write_text(CONFIGURATION, encoding="utf-8")
    key = folder / "keys" / "authority.pem"
    key.parent.mkdir()
    key.touch(0o600)
    key.write_text(content, encoding="utf-8")
    code, found = findings()

    assert 1 == code
    assert "fail" == found["authority"][0]
    assert "s3cret" not in found["authority"][1]


@needs_posix
def test_a_link_that_leads_nowhere_is_a_failure_and_no_authority_is_made_through_it(findings, folder):
    (folder / "agentid.toml").write_text(CONFIGURATION, encoding="utf-8")
    (folder / "keys").mkdir()
    (folder / "keys" / "authority.pem").symlink_to(folder / "elsewhere.pem")

    assert 1 == findings()[0]
    assert not (folder / "elsewhere.pem").exists()


def test_an_agent_without_an_owner_is_warned_of(findings, folder):
    (folder / "agentid.toml").write_text("[agents.bot]\n", encoding="utf-8")
    code, found = findings()

    assert 0 == code
    assert ("warn", "0 allowed, 0 asked, owner nobody: add one") == found["agent bot"]


def test_a_package_that_is_not_installed_is_a_failure(findings, monkeypatch):
    """It says so even where the package would be needed to look further."""
    real = importlib.metadata.version

    def version(name):
        if name == "pyjwt":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "agentid.record.pipeline", raising=False)
    code, found = findings()

    assert 1 == code
    assert ("fail", "not installed; install agentid from its checkout with: pip install .") == found["pyjwt"]
    assert "fail" == found["spans"][0]
    assert "cannot be imported" in found["spans"][1]


# --- where spans go ---------------------------------------------------------------------------------


def test_spans_go_where_the_program_says(findings):
    assert ("ok", "go to the tracer provider that the program sets, if it sets one") == findings()[1]["spans"]


def test_an_endpoint_is_shown_without_its_login(findings, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://ada:s3cret@collector.example:4318/?token=s3cret")
    level, detail = findings()[1]["spans"]

    assert "ok" == level
    assert detail.startswith("http://collector.example:4318/, exporter ")


def test_the_endpoint_for_traces_comes_first(findings, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://one.example")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://two.example/v1/traces")

    assert findings()[1]["spans"][1].startswith("http://two.example/v1/traces, ")


def test_an_endpoint_without_the_exporter_is_a_failure(findings, monkeypatch):
    real = importlib.metadata.version

    def version(name):
        if "otlp" in name:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://one.example")
    code, found = findings()

    assert 1 == code
    assert "pip install '.[otlp]'" in found["spans"][1]


def test_opentelemetry_switched_off_is_warned_of(findings, monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    assert "warn" == findings()[1]["spans"][0]


@pytest.mark.parametrize("table", ["[limits.bot]\nrows_per_hour = 1\n"])
def test_a_table_that_nothing_acts_on_is_warned_of(findings, folder, table):
    """A rule that only looks enforced is worse than none."""
    (folder / "agentid.toml").write_text(f'[agents.bot]\nowner = "team:x"\n{table}', encoding="utf-8")
    warned = [detail for level, detail in findings()[1].values() if level == "warn"]

    assert "is read and kept, but this version does not act on it" in warned

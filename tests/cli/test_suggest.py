"""`agentid suggest`: from recorded runs to an `agentid.toml` under which they run again."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import agentid, environment
from systems import needs_posix

from agentid import AuditLog, Authority, Guard, ObserveOnlyGuard
from agentid.config import Config
from agentid.errors import AccessDeniedError

LOG = Path(".agentid") / "audit"


@pytest.fixture
def observed(folder):
    """Record a run of an agent that is granted nothing: what it touches, as `action:resource`."""

    def observed(*texts, agent="bot", log=LOG, **granted):
        authority = Authority.open(Path(".agentid") / "authority.pem", trust_domain="localhost")
        with AuditLog(log, signer=authority.audit_signer()) as audit:
            guard = ObserveOnlyGuard(authority.trust, audit=audit)
            with guard.acting_as(authority.issue(agent, owner="team:x", **granted)):
                for text in texts:
                    action, _, resource = text.partition(":")
                    with guard.access(action, resource):
                        pass

    return observed


def one_line(ran, code=2):
    assert (code, "", 1) == (ran.code, ran.out, ran.err.count("\n")), ran
    return ran.err


# --- printing -------------------------------------------------------------------------------------


def test_a_guard_under_what_is_printed_allows_what_was_done_and_nothing_else(run, observed, folder):
    observed("read:crm/c/1", "read:crm/c/2", "read:crm/c/3", "write:mail/ada")
    ran = run("suggest")

    assert (0, "") == (ran.code, ran.err)
    Path("agentid.toml").write_text(ran.out, encoding="utf-8")
    guard = Guard.from_config()
    with guard.acting_as(guard.agent("bot")):
        for action, resource in (("read", "crm/c/1"), ("read", "crm/c/99"), ("write", "mail/ada")):
            with guard.access(action, resource):
                pass
        for action, resource in (
            ("edit", "crm/c/1"),
            ("read", "crm/d/1"),
            ("write", "mail/bob"),
            ("read", "crm/c/1/x"),
        ):
            with pytest.raises(AccessDeniedError), guard.access(action, resource):
                pass


def test_several_runs_are_read_together_and_each_says_in_how_many(run, observed):
    observed("read:x/1")
    observed("read:x/1")
    observed("read:x/1", log=Path("elsewhere"))
    ran = run("suggest", LOG, "elsewhere", LOG)

    assert "# Suggested from 3 runs with 3 calls." in ran.out
    assert "# seen: 3 times in 3 runs, " in ran.out


def test_one_file_of_a_log_is_one_run(run, observed):
    observed("read:x/1")
    [first] = LOG.glob("*.jsonl")
    observed("read:x/2")
    ran = run("suggest", first)

    assert '"read:x/1"' in ran.out
    assert "x/2" not in ran.out


def test_json_says_the_same_for_machines(run, observed):
    observed("delete:x/1", "read:y/1")
    ran = run("suggest", "--json")
    said = json.loads(ran.out)
    [agent] = said["agents"]
    [first, second] = agent["allow"]

    assert (1, 2, None) == (said["runs"], said["calls"], said["written"])
    assert ("bot", "team:x", [], []) == (agent["name"], agent["owner"], agent["ask"], agent["refused"])
    assert ("delete:x/1", ["it removes what is there"], False) == (first["permission"], first["dangers"], first["kept"])
    assert ("read:y/1", 1, 1, 1) == tuple(second[key] for key in ("permission", "times", "resources", "runs"))


def test_options_choose_agents_and_how_much_is_generalised(run, observed):
    observed("read:a/b/1", "read:a/b/c/2", "read:a/d", "read:x/orders", "read:x/users", "read:x/logs")
    observed("read:secret", agent="other")

    plain, wide = run("suggest", "--agent", "bot").out, run("suggest", "--agent=bot", "--generalise=3", "--deep").out
    assert "secret" not in plain
    assert "*" not in plain.replace("`*`", "")
    assert '"read:x/*"' in wide
    assert '"read:a/**"' in wide
    assert "# danger: `**` is any depth" in wide


def test_a_terminal_without_unicode_gets_the_same_permissions(observed, folder):
    observed("read:crm/é")
    ran = agentid("suggest", folder=folder, PYTHONIOENCODING="ascii")

    assert (0, "") == (ran.code, ran.err)
    assert '"read:crm/\\u00e9"' in ran.out


# --- what is refused ------------------------------------------------------------------------------


def test_without_a_recorded_run_it_says_so(run, folder):
    assert "there is no recorded run at `.agentid/audit`" in one_line(run("suggest"))
    LOG.mkdir(parents=True)
    Authority.open(Path(".agentid") / "authority.pem", trust_domain="localhost")
    assert (
        "there is nothing to suggest: nothing that anybody is asked about is recorded at `.agentid/audit`."
        in one_line(run("suggest"))
    )
    assert "there is no such folder" in one_line(run("suggest", "missing"))


def test_an_agent_that_was_not_seen_is_named_with_the_nearest(run, observed):
    observed("read:x/1", agent="support-bot")

    assert "no run of an agent `suport-bot` is recorded. Did you mean `support-bot`?" in one_line(
        run("suggest", "--agent", "suport-bot")
    )


def test_a_log_that_was_changed_grants_nothing_unless_told_to(run, observed):
    """Who could add a record could choose what is granted."""
    observed("read:x/1")
    [file] = LOG.glob("*.jsonl")
    file.write_bytes(file.read_bytes().replace(b"x/1", b"y/1"))

    assert "the audit log does not verify" in one_line(run("suggest"), code=1)
    assert "the audit log does not verify" in one_line(run("suggest", file), code=1)
    assert "the audit log does not verify" in one_line(run("suggest", "--write"), code=1)
    assert '"read:y/1"' in run("suggest", "--unverified").out


KILLED = """
import os
from agentid import AuditLog, Authority, ObserveOnlyGuard
authority = Authority.open(".agentid/authority.pem", trust_domain="localhost")
guard = ObserveOnlyGuard(authority.trust, audit=AuditLog(".agentid/audit", signer=authority.audit_signer()))
with guard.acting_as(authority.issue("bot")), guard.access("read", "x/1"):
    os._exit(0)
"""


def test_records_that_nobody_signed_yet_are_told(run, folder):
    """A process that was killed leaves some: they are linked, and whoever writes there could have added them."""
    subprocess.run([sys.executable, "-c", KILLED], cwd=folder, env=environment(), check=True)
    ran = run("suggest")

    assert '"read:x/1"' in ran.out
    assert ran.err.startswith("agentid: not signed yet, at the end of the log: 1 record; ")
    assert "" == run("suggest", "--unverified").err


def test_a_log_of_another_authority_is_verified_with_its_published_keys(run, observed, tmp_path):
    observed("read:x/1")
    authority = Authority.open(Path(".agentid") / "authority.pem", trust_domain="localhost")
    Path("keys.json").write_text(json.dumps(authority.trust.to_jwks()), encoding="utf-8")
    shutil.move(LOG, "log")
    shutil.rmtree(".agentid")

    assert "there is no authority at" in one_line(run("suggest", "log"))
    assert '"read:x/1"' in run("suggest", "log", "--jwks", "keys.json").out


def test_a_file_of_records_that_is_no_log_proves_nothing(run, observed):
    observed("read:x/1")
    Path("run.jsonl").write_text(run("audit", "show", "--json").out + "no record\n", encoding="utf-8")

    assert "`run.jsonl` is no file of an audit log" in one_line(run("suggest", "run.jsonl"))
    assert '"read:x/1"' in run("suggest", "run.jsonl", "--unverified").out


@pytest.mark.parametrize("number", ["2", "0", "-1", "x", "1e9", "9" * 20])
def test_a_number_of_names_that_makes_no_sense_is_refused(run, number):
    assert "--generalise: it takes a whole number from 3" in one_line(run("suggest", f"--generalise={number}"))


def test_a_suggestion_that_could_not_be_read_again_is_refused(run, observed):
    observed(*[f"read:crm/{'n' * 200}{number}a/x" for number in range(300)])

    assert "larger than 64 KiB" in one_line(run("suggest", "--generalise=100000"))


# --- writing --------------------------------------------------------------------------------------

CONFIGURED = """\
trust_domain = "localhost"   # kept
forbid = ["delete:crm/**"]

[agents.bot]
allow = ["read:crm/**", "write:never"]  # kept, too
[agents.other]
allow = ["read:x"]
"""


def test_writing_keeps_everything_else_of_the_file_and_its_mode(run, observed, folder):
    observed("read:crm/c/1", "write:mail/ada", "read:q", allow=["read:crm/**"])
    observed("read:z", agent="new")
    path = Path("agentid.toml")
    path.write_text(CONFIGURED, encoding="utf-8")
    path.chmod(0o640)
    ran = run("suggest", "--write")
    text = path.read_text(encoding="utf-8")
    config = Config.load(path)

    assert (0, "") == (ran.code, ran.err)
    assert f"written: 4 permissions of 2 agents to {path.absolute()}" == ran.out.splitlines()[0]
    before, after = CONFIGURED.split('["read:crm/**", "write:never"]')
    assert text.startswith(before)
    assert after in text
    assert ["read:crm/**", "read:q", "write:mail/ada"] == sorted(map(str, config.agents["bot"].allow))
    assert "# never used: write:never" in text
    assert ("read:x", "team:x") == (str(config.agents["other"].allow[0]), config.agents["new"].owner)
    assert ["agentid.toml"] == [one.name for one in Path().iterdir() if "agentid.toml" in one.name]
    if os.name == "posix":
        assert 0o640 == stat.S_IMODE(path.stat().st_mode)


def test_writing_again_changes_nothing_but_what_it_rests_on(run, observed):
    observed("read:crm/c/1", "delete:mail/ada")
    run("suggest", "--write")
    first = Path("agentid.toml").read_text(encoding="utf-8")
    ran = run("suggest", "--write", "--json")

    assert str(Path("agentid.toml").absolute()) == json.loads(ran.out)["written"]
    assert first.replace("# seen: ", "# kept: ") == Path("agentid.toml").read_text(encoding="utf-8")


def test_without_a_configuration_one_is_made(run, observed):
    observed("delete:mail/ada")
    ran = run("suggest", "--write")

    assert "look at bot delete:mail/ada: it removes what is there" in ran.out
    assert "delete:mail/ada" == str(Config.load("agentid.toml").agents["bot"].allow[0])


def test_a_file_with_somebodys_comment_in_a_list_is_left_alone(run, observed):
    observed("read:crm/c/1")
    text = '[agents.bot]\nallow = [\n  "read:crm/**",  # mine\n]\n'
    Path("agentid.toml").write_text(text, encoding="utf-8")

    assert "agentid.toml, line 3: there is a comment" in one_line(run("suggest", "--write"))
    assert text == Path("agentid.toml").read_text(encoding="utf-8")
    assert 0 == run("suggest").code


@needs_posix
def test_a_link_stays_one_and_a_file_that_cannot_be_replaced_stays_what_it_was(run, observed, tmp_path):
    observed("read:crm/c/1")
    real = tmp_path / "real"
    real.mkdir()
    (real / "conf.toml").write_text("[agents.bot]\n", encoding="utf-8")
    Path("agentid.toml").symlink_to(real / "conf.toml")

    assert 0 == run("suggest", "--write").code
    assert Path("agentid.toml").is_symlink()
    assert "read:crm/c/1" in (real / "conf.toml").read_text(encoding="utf-8")
    if os.geteuid() != 0:
        real.chmod(0o500)
        assert "cannot be written" in one_line(run("suggest", "--write"))
        real.chmod(0o700)
    assert ["conf.toml"] == [one.name for one in real.iterdir()]


def test_a_file_that_somebody_else_changes_meanwhile_is_left_to_them(run, observed, monkeypatch):
    observed("read:crm/c/1")
    path = Path("agentid.toml")
    path.write_text("[agents.bot]\n", encoding="utf-8")
    from agentid.cli import suggest

    replace = suggest._replace

    def changed_before(*args):
        path.write_text("[agents.bot]\n# theirs\n", encoding="utf-8")
        replace(*args)

    monkeypatch.setattr(suggest, "_replace", changed_before)

    assert "somebody else has changed it meanwhile" in one_line(run("suggest", "--write"))
    assert "[agents.bot]\n# theirs\n" == path.read_text(encoding="utf-8")
    assert ["agentid.toml"] == [one.name for one in Path().iterdir() if "agentid.toml" in one.name]


def test_a_configuration_that_is_made_meanwhile_is_not_overwritten(run, observed, monkeypatch):
    observed("read:crm/c/1")
    from agentid.cli import suggest

    replace = suggest._replace

    def made_before(*args):
        Path("agentid.toml").write_text("# theirs\n", encoding="utf-8")
        replace(*args)

    monkeypatch.setattr(suggest, "_replace", made_before)

    assert "cannot be written" in one_line(run("suggest", "--write"))
    assert "# theirs\n" == Path("agentid.toml").read_text(encoding="utf-8")

"""`agentid audit`: verify, show and prove, as a user calls them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from agentid.cli import audit
from agentid.cli.parser import Parser
from agentid.errors import ConfigurationError
from agentid.identity import Authority
from agentid.record.audit import AuditLog
from agentid.record.audit.proof import check_consistency, check_inclusion


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run a command in an empty folder; give its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        parser = Parser(prog="agentid audit")
        audit.add_to(parser)
        capsys.readouterr()
        args = parser.read([str(argument) for argument in arguments])
        code = args.run(args)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def home(tmp_path, run, make_record, clock):
    """A folder with an authority and a log where the commands look for them."""
    authority = Authority.open(tmp_path / ".agentid" / "authority.pem", trust_domain="localhost")
    with AuditLog(
        tmp_path / ".agentid" / "audit",
        signer=authority.audit_signer(),
        clock=clock,
        checkpoint_records=4,
        checkpoint_seconds=1e6,
    ) as log:
        for number in range(10):
            log.write(
                "decision",
                make_record(
                    number,
                    agent_name="support-bot" if number % 2 else "evil\x1b[2J\nbot",
                    effect="allow" if number % 3 else "deny",
                    resources=[f"crm/customers/{number}"] * 5,
                ),
            )
            clock.step(60)
    return tmp_path


def only(folder, suffix):
    (path,) = (folder / ".agentid" / "audit").glob(f"*{suffix}")
    return path


def tamper(folder):
    path = only(folder, ".jsonl")
    path.write_bytes(path.read_bytes().replace(b"crm/customers/7", b"crm/customers/8", 1))


# --- verify -----------------------------------------------------------------------------------------------------------


def test_verify_says_that_a_log_is_good_and_what_it_did_not_see(home, run):
    code, out, err = run("verify")

    assert (0, "") == (code, err)
    assert out.startswith("good: 10 records in 1 chain, 4 checkpoints signed\n")
    assert "--anchor" in out


def test_verify_names_the_first_bad_record_and_ends_with_1(home, run):
    tamper(home)
    code, out, _ = run("verify")

    assert 1 == code
    assert out.startswith("tampered: ")
    assert f"{only(home, '.jsonl').name}, line 8 (record 7): the record was changed" in out


def test_verify_as_json(home, run):
    _, out, _ = run("verify", "--json")
    report = json.loads(out)
    assert (True, 10, 1, 4, 0, [], []) == tuple(
        report[key] for key in ("ok", "records", "chains", "checkpoints", "unsigned", "problems", "recovered")
    )

    tamper(home)
    code, out, _ = run("verify", "--json")
    assert (1, False) == (code, (report := json.loads(out))["ok"])
    assert {"file": only(home, ".jsonl").name, "record": 7, "line": 8, "kind": "changed"}.items() <= report["problems"][
        0
    ].items()


def test_verify_compares_with_an_anchor(home, run, tmp_path):
    (home / "anchor.txt").write_bytes(only(home, ".checkpoint").read_bytes())
    code, out, _ = run("verify", "--anchor", "anchor.txt")
    assert (0, True) == (code, "4 kept elsewhere" in out)
    assert "--anchor" not in out

    for path in (home / ".agentid" / "audit").iterdir():
        path.unlink()
    code, out, _ = run("verify", "--anchor", home / "anchor.txt")
    assert (1, True) == (code, "the whole chain is missing" in out)


def test_verify_tells_of_torn_ends_and_unsigned_records(home, run):
    path = only(home, ".jsonl")
    notes = only(home, ".checkpoint")
    text = notes.read_text(encoding="utf-8").split("\n")
    notes.write_text("\n".join(text[:18]) + "\n", encoding="utf-8")
    path.write_bytes(path.read_bytes() + b'{"data":')
    code, out, _ = run("verify")

    assert 0 == code
    assert "recovered: " in out
    assert "an unfinished end of 8 bytes" in out
    assert "2 records after the last checkpoint" in out


def test_verify_trusts_a_published_key_set_instead(home, run, tmp_path):
    jwks = tmp_path / "jwks.json"
    trust = Authority.open(home / ".agentid" / "authority.pem", trust_domain="localhost").trust
    jwks.write_text(json.dumps(trust.to_jwks()), encoding="utf-8")
    (home / ".agentid" / "authority.pem").unlink()
    assert 0 == run("verify", "--jwks", jwks)[0]
    with pytest.raises(ConfigurationError, match="no authority"):
        run("verify")

    jwks.write_text(json.dumps(Authority.create("other.example").trust.to_jwks()), encoding="utf-8")
    assert 1 == run("verify", "--jwks", jwks)[0]
    for bad in ("garbage", "[1]", "7"):
        jwks.write_text(bad, encoding="utf-8")
        with pytest.raises(ConfigurationError):
            run("verify", "--jwks", jwks)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        run("verify", "--jwks", tmp_path / "nowhere")


def test_commands_find_what_a_configuration_names(tmp_path, run, make_record):
    authority = Authority.open(tmp_path / "keys.pem", trust_domain="acme.example")
    with AuditLog(tmp_path / "logs", signer=authority.audit_signer()) as log:
        log.write("decision", make_record(1))
    (tmp_path / "agentid.toml").write_text(
        'trust_domain = "acme.example"\nauthority = "keys.pem"\n[audit]\npath = "logs"\n', encoding="utf-8"
    )

    assert "good: 1 record in 1 chain" in run("verify")[1]
    assert "good: 1 record in 1 chain" in run("verify", "--folder", tmp_path / "logs", "--config", "agentid.toml")[1]
    with pytest.raises(ConfigurationError, match="no audit log at"):
        run("show", "--folder", tmp_path / "elsewhere")


def test_verify_shows_its_progress_on_a_terminal_and_nowhere_else(home, run, monkeypatch):
    assert "" == run("verify")[2]
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True, raising=False)
    _, _, err = run("verify")

    assert re.search(r"\r\[#+\.*\] 100 %", err)
    assert err.endswith("\r\x1b[K")


# --- show -------------------------------------------------------------------------------------------------------------


def test_show_prints_a_line_for_each_record_that_no_text_in_it_can_break(home, run):
    code, out, err = run("show")
    lines = out.splitlines()

    assert (0, 10, "") == (code, len(lines), err)
    assert "\x1b" not in out
    assert lines[0].startswith("2027-01-15T08:00:00.000Z  deny       evil\\x1b[2J\\nbot")
    assert "read:crm/customers/1" in lines[1]
    assert "and 2 more" in lines[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--agent", "support-bot"], [1, 3, 5, 7, 9]),
        (["--decision", "deny"], [0, 3, 6, 9]),
        (["--decision", "deny", "--agent", "support-bot"], [3, 9]),
        (["--resource", "crm/customers/4"], [4]),
        (["--since", "2027-01-15T08:08"], [8, 9]),
        (["--until", "2027-01-15T08:02:00Z"], [0, 1]),
        (["--since", "2027-01-15"], list(range(10))),
        (["--until", "2027-01-15T09:01:00+01:00"], [0]),
    ],
)
def test_show_filters(home, run, options, expected):
    _, out, _ = run("show", "--json", *options)

    assert expected == [int(json.loads(line)["data"]["call"]["id"], 16) for line in out.splitlines()]


def test_show_says_what_it_cannot_filter_by(home, run):
    for options in (["--since", "yesterday"], ["--decision", "maybe"], ["--resource", "a//b"]):
        with pytest.raises(ConfigurationError):
            run("show", *options)


def test_show_passes_over_what_is_no_record_and_says_so(home, run):
    path = only(home, ".jsonl")
    path.write_bytes(b"garbage\n" + path.read_bytes())
    _, out, err = run("show")

    assert 10 == len(out.splitlines())
    assert "1 line passed over" in err


def test_show_says_that_a_file_cannot_be_read(home, run):
    path = only(home, ".jsonl")
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        run("show")


def test_show_follows_what_is_added(home, run, monkeypatch, make_record, capsys):
    """Until it is interrupted; each pause here stands for one in which something may have been written."""
    authority = Authority.open(home / ".agentid" / "authority.pem", trust_domain="localhost")
    pauses = []

    def pause(_):
        pauses.append(1)
        if len(pauses) == 3:
            raise KeyboardInterrupt
        with AuditLog(home / ".agentid" / "audit", signer=authority.audit_signer()) as log:
            log.write("decision", make_record(100 + len(pauses)))

    monkeypatch.setattr("time.sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        run("show", "--follow", "--json", "--agent", "support-bot")
    out = capsys.readouterr().out

    assert [101, 102] == [int(json.loads(line)["data"]["call"]["id"], 16) for line in out.splitlines()][-2:]


# --- prove ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trust(home):
    return Authority.open(home / ".agentid" / "authority.pem", trust_domain="localhost").trust


def test_prove_prints_a_proof_that_a_record_is_in_the_log(home, run, trust):
    code, out, _ = run("prove", f"{7:032x}", "--save-record", "record")
    assert 0 == code
    assert 10 == check_inclusion(out, Path("record").read_bytes(), trust).size

    proof = json.loads(run("prove", f"{7:032x}", "--json")[1])
    assert (7, out) == (proof["index"], proof["proof"])
    assert Path("record").read_bytes() == proof["record"].encode()


def test_prove_prints_a_proof_that_the_log_only_grew(home, run, trust):
    chain = only(home, ".checkpoint").name.partition(".")[0]
    earlier = only(home, ".checkpoint").read_text(encoding="utf-8").split("\n")[6:11]
    code, out, _ = run("prove", "--chain", chain, "--old", "4")
    assert 0 == code
    assert 10 == check_consistency(out, "\n".join(earlier) + "\n", trust).size

    code, out, _ = run("prove", "--chain", chain, "--old", "4", "--new", "8", "--json")
    assert 8 == check_consistency(json.loads(out)["proof"], "\n".join(earlier) + "\n", trust).size


@pytest.mark.parametrize(
    "arguments",
    [[], ["x", "--chain", "y", "--old", "1"], ["--chain", "y"], ["--old", "1"], ["x", "--old", "1"], ["nobody"]],
)
def test_prove_needs_to_know_what(home, run, arguments):
    with pytest.raises(ConfigurationError):
        run("prove", *arguments)


def test_prove_says_where_it_cannot_write(home, run):
    with pytest.raises(ConfigurationError, match="cannot be written"):
        run("prove", f"{7:032x}", "--save-record", home / "nowhere" / "record")

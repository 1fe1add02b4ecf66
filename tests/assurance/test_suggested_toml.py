"""A suggestion as text: it is TOML that says the same, whatever the names are, and each line says what it rests on."""

from __future__ import annotations

from pathlib import Path

from recorded_runs import Recorder

from agentid.assurance.evidence import Runs
from agentid.assurance.least_privilege import suggest
from agentid.assurance.suggested_toml import is_suggested, quoted, text_of
from agentid.config.reader import parse
from agentid.record import Access
from agentid.resource import Resource

SOURCE = Path("agentid.toml")


PRINTED = """\
# Suggested from 1 run with 6 calls.
#
# Look at these first:
#   bot: allow delete:crm/c/1: it removes what is there

trust_domain = "acme.example"

[agents.bot]
owner = "team:support"
allow = [
    # danger: it removes what is there
    # seen: once in 1 run, 2026-11-25T09:46:44Z
    "delete:crm/c/1",
    # seen: 3 times on 3 resources in 1 run, 2026-11-25T09:46:41Z to 2026-11-25T09:46:43Z
    "read:crm/c/*",
    # refused: share:crm/c/1 (scope_missing), once in 1 run, 2026-11-25T09:46:46Z
]
ask = [
    # seen: once in 1 run, 2026-11-25T09:46:45Z
    "write:mail/ada",
]
"""


def suggestion_of(recorder):
    return suggest(Runs(recorder.records))


def test_each_line_says_what_it_rests_on_and_what_is_dangerous_stands_at_the_top():
    recorder = Recorder().calls("read:crm/c/1", "read:crm/c/2", "read:crm/c/3", "delete:crm/c/1")
    recorder.call("write:mail/ada", effect="would_ask", reason="approval_required")
    recorder.call("share:crm/c/1", effect="deny", reason="scope_missing")

    assert PRINTED == text_of(suggestion_of(recorder))


def test_what_is_said_about_the_runs_is_said_in_comments():
    recorder = Recorder().call("read:x/1", agent="a/b").call(effect="would_deny", reason="resource_invalid")
    recorder.call("read:x/1", below=("helper",)).call("read:x/1", domain="other.example")
    recorder.calls(*[f"read:y/{name}" for name in "abcdefgh"])
    text = text_of(suggestion_of(recorder))

    assert "# 1 call touched what no permission can name, and will be refused: tool.\n" in text
    assert "# Agents whose names cannot stand here: spiffe://acme.example/agent/a/b." in text
    assert "    # also by: its sub-agents helper\n" in text
    assert "    # several agents: spiffe://acme.example/agent/bot, spiffe://other.example/agent/bot\n" in text
    assert "    # names: y/a, y/b, y/c and 5 more; `*` is any other name, too\n" in text
    assert "trust_domain" not in text


def test_odd_names_neither_end_a_string_nor_a_comment_and_say_the_same_in_ascii():
    names = ['"', "'''", "#", "a b", "é日\U0001f600", "$(x)", "]", "= 1", "\u00a0x", "a\u2060b"]
    recorder = Recorder()
    for name in names:
        try:
            resource = Resource.of("", "", "x", name)
        except Exception:
            continue
        recorder.call(Access("delete", resource)).call(Access("read", resource), effect="deny")
    suggestion = suggestion_of(recorder)
    wanted = {str(line.permission) for line in suggestion.agents[0].allow}
    plain, escaped = text_of(suggestion), text_of(suggestion, only_ascii=True)

    assert len(wanted) >= 8
    assert escaped.isascii()
    assert not plain.isascii()
    for text in (plain, escaped):
        config = parse(text, source=SOURCE)
        assert wanted == {str(permission) for permission in config.agents["bot"].allow}
        assert ["bot"] == list(config.agents)


def test_the_comments_of_a_suggestion_are_known_again_and_no_others():
    recorder = Recorder().calls("delete:x/1", *[f"read:y/{name}" for name in "abcdefgh"])
    recorder.call("read:z", effect="deny").call("read:x/1", below=("helper",))
    text = text_of(suggestion_of(recorder)).partition("[agents.bot]")[2]
    comments = [line.strip() for line in text.splitlines() if line.strip().startswith("#")]

    assert len(comments) >= 6
    assert all(map(is_suggested, comments))
    assert not any(map(is_suggested, ["# mine", "# seen", "#seen: x", "# note: seen: x", "# dangerous: x"]))


def test_what_cannot_be_seen_is_written_as_an_escape():
    text = 'a"b\\c\n\x1b\u202e\U000e0001'

    assert '"a\\"b\\\\c\\u000a\\u001b\\u202e\\U000e0001"' == quoted(text)

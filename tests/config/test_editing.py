"""Other permissions in the text of a configuration: the lists change, every other byte stays, or nothing changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentid.config.editing import with_grants
from agentid.config.reader import parse
from agentid.errors import ConfigurationError
from agentid.permission import Permission

ALLOW = '[\n    # seen: once\n    "read:new/*",\n]'
ASK = '["write:new"]'


def edited(text, *, agents=("bot",), name="agentid.toml", allow=ALLOW, ask=ASK, **more):
    source = Path(name)
    lists = {agent: {**more, "allow": allow, "ask": ask} for agent in agents}
    read = {"[]": (), ALLOW: (Permission.parse("read:new/*"),), ASK: (Permission.parse("write:new"),)}
    wanted = {
        agent: {"allow": read[allow], "ask": read[ask], **{key: value.strip('"') for key, value in more.items()}}
        for agent in agents
    }
    return with_grants(text, source, lists, wanted, may_go=lambda comment: comment.startswith("# seen: "))


def test_the_lists_are_replaced_where_they_stand_and_every_other_byte_stays():
    text = """\
# about everything
trust_domain  =  "acme.example"   # odd   spaces

  [ agents . bot ]   # the first
allow = [ "read:a", 'read:b',
  # seen: 3 times
  "read:c" ]  # after
owner = '''team:bots'''

ask=["write:x"]
[agents."b.c"]
allow = ["read:x"]

[[data]]
resource = "crm/**"
labels = ["a", "b"]
"""
    after = edited(text)

    expected = text.replace(
        """[ "read:a", 'read:b',
  # seen: 3 times
  "read:c" ]""",
        ALLOW,
    ).replace('["write:x"]', ASK)
    assert expected == after


def test_lists_that_are_not_there_are_added_below_the_header_and_empty_ones_are_not():
    text = '[agents.bot] # x\nowner = "me"\n\n[audit]\npath = "a"'

    assert text.replace("# x\n", f"# x\nallow = {ALLOW}\nask = {ASK}\n") == edited(text)
    assert text.replace("# x\n", f"# x\nallow = {ALLOW}\n") == edited(text, ask="[]")
    assert f"[agents.bot]\nallow = {ALLOW}\nask = {ASK}" == edited("[agents.bot]")


@pytest.mark.parametrize(("text", "gap"), [("", ""), ('environment = "x"\n', "\n"), ('environment = "x"', "\n\n")])
def test_an_agent_that_is_not_there_is_added_at_the_end(text, gap):
    after = edited(text, agents=("bot", "b.c"), owner='"team:x"')

    tables = [f'[agents.{name}]\nowner = "team:x"\nallow = {ALLOW}\nask = {ASK}\n' for name in ("bot", '"b.c"')]
    assert text + gap + tables[0] + (gap or "") + tables[1] == after
    assert ["bot", "b.c"] == list(parse(after, source=Path("agentid.toml")).agents)


def test_line_ends_stay_what_they_are():
    after = edited('[agents.bot]\r\nallow = ["read:a"]\r\n')

    assert "\n" not in after.replace("\r\n", "")
    assert after.startswith('[agents.bot]\r\nask = ["write:new"]\r\nallow = [\r\n')


def test_a_table_of_pyproject_is_edited_there():
    text = '[project]\nname = "x"\n\n[tool.agentid.agents.bot]\nallow = ["read:a"]\n\n[agents.bot]\nallow = ["no"]\n'
    after = edited(text, name="pyproject.toml", agents=("bot", "new"), ask="[]")

    assert text.replace('["read:a"]', ALLOW) + f"\n[tool.agentid.agents.new]\nallow = {ALLOW}\nask = []\n" == after


def test_dotted_keys_are_found_too():
    assert f"[agents]\nbot.allow = {ALLOW}\n" == edited('[agents]\nbot.allow = ["read:a"]\n', ask="[]")


@pytest.mark.parametrize(
    "text",
    [
        'agents = { bot = { allow = ["read:a"] } }\n',
        'agents = { other = { allow = ["read:a"] } }\n',
        '[agents]\nbot = { allow = ["read:a"] }\n',
        '[agents]\nbot.owner = "me"\n',
    ],
)
def test_what_cannot_be_edited_cleanly_is_refused(text):
    with pytest.raises(ConfigurationError, match=r"agentid\.toml was not changed: .*by hand"):
        edited(text)


@pytest.mark.parametrize("comment", ["# mine", "#mine", "#"])
def test_a_comment_of_somebodys_is_never_lost(comment):
    text = f'# top\n[agents.bot]\nallow = [\n  "read:a", {comment}\n]\n'

    with pytest.raises(ConfigurationError, match=r"agentid\.toml, line 4: there is a comment .* above the list"):
        edited(text)


def test_what_looks_like_a_list_inside_of_text_is_text():
    text = """\
[agents.bot]
purpose = "allow = [ # no"
allow = ["read:a/#x", "read:]", 'read:"[']
"""

    assert text.replace("""["read:a/#x", "read:]", 'read:"[']""", ALLOW) == edited(text, ask="[]")


def test_a_result_that_would_say_something_else_is_refused():
    """Whatever the reason: the lists that were asked for are not what stands there."""
    with pytest.raises(ConfigurationError, match="it would say something else"):
        with_grants(
            "[agents.bot]\n", Path("agentid.toml"), {"bot": {"allow": '["read:a"]'}}, {"bot": {}}, may_go=lambda _: True
        )
    with pytest.raises(ConfigurationError, match="it could not be read any more"):
        with_grants(
            "[agents.bot]\n", Path("agentid.toml"), {"bot": {"allow": "[[["}}, {"bot": {}}, may_go=lambda _: True
        )

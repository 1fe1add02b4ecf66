"""
What `agentid.toml` says becomes a `Config`, and what it says wrongly becomes one line that helps.

That the line is the right one, however the file is written, is the matter of `test_config_toml`.
"""

# ruff: noqa: E501 -- a table of cases reads best with one to a line

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import generated
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentid.config import AgentEntry, Config, DataRule, FlowRule, Limit, PlaceRule
from agentid.config.reader import MAX_BYTES, MAX_PYPROJECT, find, parse, read
from agentid.errors import ConfigurationError, MissingExtraError
from agentid.permission import Permission
from agentid.resource import ResourcePattern

SOURCE = Path("/somewhere/agentid.toml")
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

EXAMPLE = """\
trust_domain = "acme.example"
authority = "keys/authority.pem"           # or a key URI; default .agentid/authority.pem, made when missing
environment = "prod"                       # flow rules may refer to it

[agents.support-bot]
owner = "team:support"
allow = ["read:crm/customers/*"]
ask = ["write:mail/outbox/*"]

[[data]]
resource = "crm/customers/**"
labels = ["customer", "pii"]
origin = "real"

[[place]]
resource = "https://api.mailer.example/**"
kind = "third-party"

[[flow]]
label = "pii"
to = "third-party"
then = "deny"                              # or "ask"

[limits.support-bot]
rows_per_hour = 1000

[audit]
path = "audit"
"""
"""As printed in the design and in the documentation."""

MEANING = Config(
    source=SOURCE,
    trust_domain="acme.example",
    authority=Path("/somewhere/keys/authority.pem"),
    environment="prod",
    agents={
        "support-bot": AgentEntry(
            "support-bot",
            owner="team:support",
            allow=(Permission.parse("read:crm/customers/*"),),
            ask=(Permission.parse("write:mail/outbox/*"),),
        )
    },
    data=(DataRule(ResourcePattern.parse("crm/customers/**"), ("customer", "pii"), "real"),),
    places=(PlaceRule(ResourcePattern.parse("https://api.mailer.example/**"), "third-party"),),
    flows=(FlowRule("pii", "third-party", "deny"),),
    limits={"support-bot": (Limit("rows", timedelta(hours=1), 1000),)},
    audit=Path("/somewhere/audit"),
)


def load(text, name="agentid.toml"):
    return parse(text, source=SOURCE.with_name(name))


def refusal(text, name="agentid.toml"):
    """The error for *text*, without its code."""
    with pytest.raises(ConfigurationError) as caught:
        load(text, name)

    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 600
    return message.removeprefix("[configuration.invalid] ")


# --- what a file says ---------------------------------------------------------------------------------------------


def test_the_example_means_what_it_says():
    assert load(EXAMPLE) == MEANING


def test_the_same_tables_may_stand_in_a_pyproject():
    text = '[project]\nname = "x"\n[tool.other]\nx = 1\n[tool.agentid]\n'
    text += EXAMPLE.replace("[[", "[[tool.agentid.").replace("\n[a", "\n[tool.agentid.a")
    text = text.replace("[limits", "[tool.agentid.limits")

    config = load(text, "pyproject.toml")

    assert config.source == SOURCE.with_name("pyproject.toml")
    for name in MEANING.__slots__:
        if name != "source":
            assert getattr(config, name) == getattr(MEANING, name)


def test_an_empty_file_is_a_configuration():
    config = load("")

    assert config == Config(SOURCE, "localhost", Path("/somewhere/.agentid/authority.pem"))
    assert config.audit is None
    assert config.approval_timeout == timedelta(minutes=5)
    assert config.agents == config.limits == {}


def test_everything_that_an_agent_can_have():
    config = load("""\
[agents."a.b_C-1"]
owner = "team:support"
purpose = "Answers customers: ünïcödé, too"
ttl_minutes = 1440
ask = []
allow = [
  "read:crm/customers/*",
  { permission = "write:bank/transfers/*", where = { amount = { at_most = 100 }, currency = { one_of = ["EUR"] } } },
  { permission = "delete:tmp/**" },
  'write:bank/refunds/* where {"amount": {"at_most": 5}}',
  { permission = "edit:x", where = {} },
]
""")

    (agent,) = config.agents.values()
    assert agent.name == "a.b_C-1"
    assert agent.purpose == "Answers customers: ünïcödé, too"
    assert agent.ttl == timedelta(days=1)
    assert agent.ask == ()
    assert agent.allow == (
        Permission.parse("read:crm/customers/*"),
        Permission.build("write", "bank/transfers/*", {"amount": {"at_most": 100}, "currency": {"one_of": ["EUR"]}}),
        Permission.parse("delete:tmp/**"),
        Permission.build("write", "bank/refunds/*", {"amount": {"at_most": 5}}),
        Permission.parse("edit:x"),
    )


def test_limits_of_each_unit_and_window():
    units, windows = ("calls", "rows", "bytes"), ("minute", "hour", "day")
    names = [f"{unit}_per_{window}" for unit in units for window in windows]
    text = "[agents.a]\n[limits.a]\n" + "".join(f"{name} = {n}\n" for n, name in enumerate(names, start=1))

    limits = load(text).limits["a"]

    lengths = [timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)]
    assert limits == tuple(
        Limit(unit, length, n)
        for n, (unit, length) in enumerate([(u, length) for u in units for length in lengths], start=1)
    )


def test_rules_of_the_guard():
    config = load('forbid = ["delete:**"]\nask = ["share:**", { permission = "write:mail/**" }]\n')

    assert config.forbid == (Permission.parse("delete:**"),)
    assert config.ask == (Permission.parse("share:**"), Permission.parse("write:mail/**"))


def test_a_trust_domain_is_taken_in_lower_case():
    assert load('trust_domain = "Acme.Example"').trust_domain == "acme.example"


def test_a_label_that_stands_twice_is_one():
    assert load('[[data]]\nresource = "a"\nlabels = ["pii", "pii", "x"]').data[0].labels == ("pii", "x")


@pytest.mark.parametrize(
    ("line", "attribute", "expected"),
    [
        ('authority = "k.pem"', "authority", "/somewhere/k.pem"),
        ('authority = "../k.pem"', "authority", "/somewhere/../k.pem"),
        ('authority = "/etc/k.pem"', "authority", "/etc/k.pem"),
        ('audit.path = "a/b"', "audit", "/somewhere/a/b"),
        ('audit.path = "/var/audit"', "audit", "/var/audit"),
    ],
)
def test_a_relative_path_starts_at_the_folder_of_the_file(line, attribute, expected):
    assert getattr(load(line), attribute) == Path(expected)


def test_a_relative_source_gives_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    config = parse('[audit]\npath = "x"', source=Path("sub/agentid.toml"))

    assert config.source == tmp_path / "sub/agentid.toml"
    assert config.audit == tmp_path / "sub/x"


def test_a_configuration_does_not_change():
    config = load(EXAMPLE)

    with pytest.raises(TypeError):
        config.agents["x"] = config.agents["support-bot"]
    with pytest.raises(TypeError):
        config.limits["x"] = ()
    with pytest.raises(AttributeError):
        config.forbid = ()


# --- what a file says wrongly -------------------------------------------------------------------------------------

NAMES = "Use 1 to 128 letters, digits, `.`, `_` and `-`"
HEX = "0x" + "f" * 5000  # longer than Python is willing to print


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # keys and tables
        ("environment =", "enviroment =", "line 3: unknown key `enviroment` at the top level. Did you mean `environment`?"),
        ("allow =", "alow =", "line 7: unknown key `alow` in [agents.support-bot]. Did you mean `allow`?"),
        ("owner =", "zzz =", "line 6: unknown key `zzz` in [agents.support-bot]. Use one of `allow`, `ask`, `owner`, `purpose`, `ttl_minutes`."),
        ("[agents.", "[agent.", "line 5: unknown key `agent` at the top level. Did you mean `agents`?"),
        ("labels =", "label =", "line 12: unknown key `label` in [[data]]. Did you mean `labels`?"),
        ("kind =", "kinds =", "line 17: unknown key `kinds` in [[place]]. Did you mean `kind`?"),
        ("then =", "than =", "line 22: unknown key `than` in [[flow]]. Did you mean `then`?"),
        ("path =", "folder =", "line 28: unknown key `folder` in [audit]. Use one of `path`."),
        ("rows_per_hour", "row_per_hour", "line 25: unknown key `row_per_hour` in [limits.support-bot]. Did you mean `rows_per_hour`?"),
        # values that are words
        ('"third-party"\n\n', '"thirdparty"\n\n', "line 17: `kind` in [[place]] cannot be `thirdparty`. Did you mean `third-party`?"),
        ('to = "third-party"', 'to = "modle"', "line 21: `to` in [[flow]] cannot be `modle`. Did you mean `model`?"),
        ('"deny"', '"allow"', "line 22: `then` in [[flow]] cannot be `allow`. Use one of `ask`, `deny`."),
        ('"real"', '"reel"', "line 13: `origin` in [[data]] cannot be `reel`. Did you mean `real`?"),
        ('label = "pii"', 'label = "pi"', "line 20: unknown label `pi` in [[flow]]. Did you mean `pii`?"),
        ("[limits.support-bot]", "[limits.suport-bot]", "line 24: unknown agent `suport-bot` in [limits]. Did you mean `support-bot`?"),
        # permissions
        ("read:crm", "raed:crm", "line 7: unknown action `raed`. Did you mean `read`?"),
        ("write:mail", "mail", "line 8: not a permission: `mail/outbox/*`: the action is missing."),
        ("crm/customers/**", "crm//x", "line 11: not a resource pattern: `crm//x`: a segment is empty"),
        ('["write:mail/outbox/*"]', '"write:x"', "line 8: `ask` in [agents.support-bot] must be a list. Write ask = […]"),
        ('["write:mail/outbox/*"]', "[1]", "line 8: an entry of `ask` in [agents.support-bot] is no permission. Write"),
        ('"write:mail/outbox/*"', "{}", "line 8: `permission` is missing in an entry of `ask` in [agents.support-bot]"),
        ('"write:mail/outbox/*"', "{ permission = 1 }", "line 8: `permission` in an entry of `ask` in [agents.support-bot] must be text"),
        ('"write:mail/outbox/*"', "{ permission = 'x' }", "line 8: not a permission: `x`"),
        (
            '"write:mail/outbox/*"',
            "{ permission = 'read:x', were = {} }",
            "line 8: unknown key `were` in an entry of `ask` in [agents.support-bot]. Did you mean `where`?",
        ),
        (
            '"write:mail/outbox/*"',
            "{ permission = 'read:x', where = [] }",
            "line 8: `where` in an entry of `ask` in [agents.support-bot] must be a table. Write where = { amount",
        ),
        (
            '"write:mail/outbox/*"',
            "{ permission = 'read:x', where = { a = { at_mots = 1 } } }",
            "line 8: unknown constraint `at_mots`. Did you mean `at_most`?",
        ),
        (
            '"write:mail/outbox/*"',
            "{ permission = 'read:x', where = { a = { any_of = [\n{ all_of = [] }] } } }",
            "line 9: bad constraint `all_of`",
        ),
        (
            '"write:mail/outbox/*"',
            "{ permission = 'read:x', where = { a = { at_most = true } } }",
            "line 8: bad constraint `at_most`",
        ),
        (
            '"write:mail/outbox/*"',
            "{ permission = 'read:x', where = { 'a b' = { at_most = 1 } } }",
            "line 8: not an argument name: `a b`",
        ),
        (
            '"write:mail/outbox/*"',
            """{ permission = 'read:x where {"a": {"at_most": 1}}', where = { b = { at_most = 1 } } }""",
            "line 8: an entry of `ask` in [agents.support-bot] is constrained twice",
        ),
        ('"write:mail/outbox/*"', f"{{ permission = 'read:x', where = {{ a = {HEX} }} }}", "line 8: "),
        ('"write:mail/outbox/*"', f"{{ permission = 'read:x', where = {{ a = {{ any_of = [{HEX}] }} }} }}", "line 8: "),
        ('"write:mail/outbox/*"', HEX, "line 8: an entry of `ask` in [agents.support-bot] is no permission"),
        (
            'environment = "prod"',
            "forbid = [{ permission = 'read:x', where = { a = { at_most = 1 } } }]",
            'line 3: forbid rule `read:x where {"a": {"at_most": 1}}` is constrained by arguments',
        ),
        (
            'environment = "prod"',
            "ask = ['read:y',\n 'read:x where {\"a\": {\"at_most\": 1}}']",
            'line 4: ask rule `read:x where {"a": {"at_most": 1}}` is constrained by arguments',
        ),
        # numbers
        ("1000", "0", "line 25: `rows_per_hour` in [limits.support-bot] must be a whole number from 1 to 9223372036854775807"),
        ("1000", "-1", "line 25: `rows_per_hour`"),
        ("1000", "true", "line 25: `rows_per_hour`"),
        ("1000", "1.0", "line 25: `rows_per_hour`"),
        ("1000", '"1"', "line 25: `rows_per_hour`"),
        ("1000", "9223372036854775808", "line 25: `rows_per_hour`"),
        ("1000", HEX, "line 25: `rows_per_hour`"),
        ('owner = "team:support"', "ttl_minutes = 0", "line 6: `ttl_minutes` in [agents.support-bot] must be a whole number from 1 to 1440"),
        ('owner = "team:support"', "ttl_minutes = 1441", "line 6: `ttl_minutes`"),
        ('owner = "team:support"', "ttl_minutes = true", "line 6: `ttl_minutes`"),
        ("[audit]", "[approval]\ntimeout_seconds = 0\n[audit]", "line 28: `timeout_seconds` in [approval] must be a whole number from 1 to 604800"),
        ("[audit]", "[approval]\ntimeout_seconds = 604801\n[audit]", "line 28: `timeout_seconds`"),
        # names and text
        ('"acme.example"', '"acme example"', "line 1: `trust_domain` at the top level must be 1 to 255 letters"),
        ('"acme.example"', '"acme.example\\n"', "line 1: `trust_domain` at the top level must be one line"),
        ('"acme.example"', '"\u212aelvin"', "line 1: `trust_domain` at the top level must be 1 to 255 letters"),
        ('"acme.example"', f'"{"a" * 256}"', "line 1: `trust_domain` at the top level must be 1 to 255 letters"),
        ('"acme.example"', "7", "line 1: `trust_domain` at the top level must be text"),
        ('"keys/authority.pem"', '"awskms:alias/x"', "line 2: `authority` at the top level must be the path of a key file: this version knows no key URIs"),
        ('"keys/authority.pem"', '"file:///x.pem"', "line 2: `authority`"),
        ('"keys/authority.pem"', '""', "line 2: `authority` at the top level must be one line of 1 to 1000 characters"),
        ('"keys/authority.pem"', '"a\\u0000b"', "line 2: `authority` at the top level must be one line"),
        ('"prod"', '"pr od"', f"line 3: `environment` at the top level is not a name: `pr od`. {NAMES}"),
        ('"prod"', '["prod"]', "line 3: `environment` at the top level must be text"),
        ('"team:support"', f'"{"x" * 1001}"', "line 6: `owner` in [agents.support-bot] must be one line of 1 to 1000 characters"),
        ('"team:support"', "true", "line 6: `owner` in [agents.support-bot] must be text"),
        ("[agents.support-bot]", '[agents."support/bot"]', f"line 5: not the name of an agent: `support/bot`. {NAMES}"),
        ("[agents.support-bot]", '[agents.".."]', f"line 5: not the name of an agent: `..`. {NAMES}"),
        ("[agents.support-bot]", '[agents."a\\n"]', f"line 5: not the name of an agent: `a\\n`. {NAMES}"),
        ("[agents.support-bot]", f'[agents.{"a" * 129}]', "line 5: not the name of an agent: `aaa"),
        ("[agents.support-bot]", '[agents."b\u00f6t"]', "line 5: not the name of an agent: `b\u00f6t`."),
        ('["customer", "pii"]', '["customer", "p i"]', f"line 12: an entry of `labels` in [[data]] is not a name: `p i`. {NAMES}"),
        ('["customer", "pii"]', "[true]", "line 12: an entry of `labels` in [[data]] must be text"),
        ('["customer", "pii"]', '"pii"', "line 12: `labels` in [[data]] must be a list. Write labels = […]"),
        # what is missing
        ('resource = "crm/customers/**"', "", "line 10: `resource` is missing in [[data]]"),
        ('kind = "third-party"', "", "line 15: `kind` is missing in [[place]]"),
        ('label = "pii"', "", "line 19: `label` is missing in [[flow]]"),
        ('to = "third-party"', "", "line 19: `to` is missing in [[flow]]"),
        ('path = "audit"', "", "line 27: `path` is missing in [audit]"),
        # shapes
        ("[[place]]", "[place]", "line 15: `place` at the top level must be a list of tables. Write [[place]]"),
        ("[agents.support-bot]", "[[agents.support-bot]]", "line 5: [agents.support-bot] must be a table"),
        ("[audit]", "[[audit]]", "line 27: [audit] must be a table"),
        ("[limits.support-bot]", "[[limits]]", "line 24: `limits` at the top level must be a table. Write [limits.support-bot]"),
        ('environment = "prod"', "data = [1]", "line 3: [[data]] must be a table"),
        ('environment = "prod"', "agents = []", "line 3: `agents` at the top level must be a table. Write [agents.support-bot]"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_the_file_the_line_and_the_nearest_right_word(old, new, expected):
    text = EXAMPLE.replace(old, new, 1)
    if new.startswith(("agents =", "data =")):  # written once, and not as tables as well
        text = text[: text.index("\n[agents")]

    assert text != EXAMPLE
    assert refusal(text).startswith(f"agentid.toml, {expected}")


def test_a_flow_without_any_label_says_what_to_do():
    assert refusal('[[flow]]\nlabel = "pii"\nto = "model"') == (
        "agentid.toml, line 2: unknown label `pii` in [[flow]]. Give it to some [[data]]"
    )


def test_an_agent_without_any_agent_is_unknown():
    assert refusal("[limits.bot]\nrows_per_day = 1") == "agentid.toml, line 1: unknown agent `bot` in [limits]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[tool.agentid]\nagnets = 1", "line 2: unknown key `agnets` in [tool.agentid]. Did you mean `agents`?"),
        ("[tool.agentid.agents.x]\nalow=1", "line 2: unknown key `alow` in [tool.agentid.agents.x]. Did you mean `allow`?"),
        ("[tool.agentid]\nlimits = 1", "line 2: `limits` in [tool.agentid] must be a table. Write [tool.agentid.limits.support-bot]"),
        ("[tool]\nagentid = 1", "line 2: [tool.agentid] must be a table"),
    ],
)  # fmt: skip
def test_in_a_pyproject_the_message_names_the_whole_table(text, expected):
    assert refusal(f"{text}\n", "pyproject.toml") == f"pyproject.toml, {expected}"


@pytest.mark.parametrize("text", ["", "[tool.x]\ny = 1", "tool = 1", "agents = {}"])
def test_a_pyproject_without_our_table_is_no_configuration(text):
    assert refusal(text, "pyproject.toml") == "pyproject.toml: there is no table [tool.agentid]"


def test_a_message_has_no_path_and_no_content_but_the_one_word():
    secret = "hunter2"
    text = f'# {secret}\n[agents.bot]\nowner = "{secret}"\npurpose = "{secret}"\nalow = ["{secret}"]\n'

    with pytest.raises(ConfigurationError) as caught:
        load(text)

    assert secret not in repr(caught.value)
    assert "somewhere" not in str(caught.value)


def test_a_long_or_odd_word_is_shortened_and_escaped():
    message = refusal(f'"{"k" * 500}" = 1')

    assert f"`{'k' * 80}…`" in message
    assert r"unknown key `a\nb\x1b[2J`" in refusal('"a\\nb\\u001b[2J" = 1')


def test_a_message_does_not_list_a_thousand_known_words():
    labels = ", ".join(f'"label-{n}"' for n in range(1000))

    message = refusal(f'[[data]]\nresource = "a"\nlabels = [{labels}]\n[[flow]]\nlabel = "zz"\nto = "model"')

    assert message == "agentid.toml, line 5: unknown label `zz` in [[flow]]. Give it to some [[data]]"


# --- files --------------------------------------------------------------------------------------------------------


def why_not(path):
    with pytest.raises(ConfigurationError) as caught:
        read(path)
    return str(caught.value).removeprefix("[configuration.invalid] ")


def test_a_file_is_read_and_its_paths_start_at_its_folder(tmp_path, monkeypatch):
    (tmp_path / "agentid.toml").write_text(EXAMPLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    config = Config.load("agentid.toml")

    assert config.source == tmp_path / "agentid.toml"
    assert config.authority == tmp_path / "keys/authority.pem"
    assert config == Config.load(tmp_path / "agentid.toml")


def test_any_other_name_is_read_like_agentid_toml(tmp_path):
    (tmp_path / "prod.toml").write_text('trust_domain = "a"', encoding="utf-8")

    assert Config.load(tmp_path / "prod.toml").trust_domain == "a"


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.toml").write_bytes(b"a = 1\n# caf\xe9\n")
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbfa = 1")
    (tmp_path / "utf16.toml").write_bytes("a = 1".encode("utf-16"))
    (tmp_path / "large.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "bad.toml").write_bytes(b"a = 1\nb = \nc = 1")
    (tmp_path / "dangling.toml").symlink_to(tmp_path / "nothing")

    missing = "there is no such file. Create it, or name another file"
    assert why_not(tmp_path / "none.toml") == f"cannot read `none.toml`: {missing}"
    assert why_not(tmp_path / "dangling.toml") == f"cannot read `dangling.toml`: {missing}"
    assert why_not(tmp_path / "bad.toml" / "x") == "cannot read `x`: not a directory"
    assert why_not(tmp_path / "folder") == "cannot read `folder`: it is a folder"
    assert why_not(tmp_path / "latin.toml") == "cannot read `latin.toml`: line 2 is not UTF-8. Save it as UTF-8"
    assert why_not(tmp_path / "utf16.toml") == "cannot read `utf16.toml`: line 1 is not UTF-8. Save it as UTF-8"
    assert why_not(tmp_path / "bom.toml").startswith("bom.toml, line 1: the file starts with a byte order mark")
    assert why_not(tmp_path / "large.toml") == "cannot read `large.toml`: it is larger than 64 KiB"
    assert why_not(tmp_path / "bad.toml") == "bad.toml, line 2: this is not valid TOML: Invalid value"
    assert why_not(tmp_path / "a\0b") == "cannot read `a\\x00b`: it is no path"
    assert why_not(tmp_path / ("x" * 5000)).startswith("cannot read `xxx")


def test_a_file_of_exactly_the_largest_size_is_read(tmp_path):
    (tmp_path / "agentid.toml").write_bytes(b"#" * MAX_BYTES)

    assert read(tmp_path / "agentid.toml").agents == {}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "agentid.toml")

    assert why_not(tmp_path / "agentid.toml") == "cannot read `agentid.toml`: it is not a regular file"


def test_a_file_that_may_not_be_opened(tmp_path, monkeypatch):
    (tmp_path / "agentid.toml").touch()

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)

    assert why_not(tmp_path / "agentid.toml") == "cannot read `agentid.toml`: permission denied"


@pytest.mark.parametrize("junk", [None, 7, b"agentid.toml", ["agentid.toml"], object()])
def test_what_is_no_path_is_refused(junk):
    for call in (Config.load, Config.find):
        with pytest.raises(ConfigurationError, match="not a path"):
            call(junk)


# --- finding a file -----------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    """Folders `a/b/c`, and a function that writes a file below them."""
    (tmp_path / "a/b/c").mkdir(parents=True)

    def write(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return tmp_path.resolve(), write


OURS = '[tool.agentid]\ntrust_domain = "pyproject"\n'


def test_there_may_be_no_configuration(tree):
    root, write = tree
    write("a/pyproject.toml", "[tool.other]\nx = 1\n")

    assert find(root / "a/b/c") is None
    assert Config.find(root / "a/b/c") is None


def test_the_nearest_configuration_is_found(tree, monkeypatch):
    root, write = tree
    outer = write("agentid.toml", 'trust_domain = "outer"')
    inner = write("a/b/pyproject.toml", OURS)

    assert find(root / "a/b/c") == inner
    assert find(root / "a/b") == inner
    assert find(root / "a") == outer
    assert find(root / "a/b/c/../../") == outer
    monkeypatch.chdir(root / "a/b/c")
    assert Config.find().trust_domain == "pyproject"
    assert find(Path()) == inner


def test_in_one_folder_agentid_toml_comes_first(tree):
    root, write = tree
    write("a/pyproject.toml", OURS)
    write("a/agentid.toml", 'trust_domain = "own"')

    assert Config.find(root / "a").trust_domain == "own"


def test_a_start_that_is_a_file_or_does_not_exist_still_has_folders_above(tree):
    root, write = tree
    path = write("a/agentid.toml", "")

    assert find(root / "a/b/script.py") == path
    assert find(path) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        'dependencies = ["agentid-guard"]',
        "[project.scripts]\nagentid = 'x'",
        "[tool.agentid-other]\nx = 1",
        "[tool]\nx = 'agentid'",
        "tool = 'agentid'",
        "tool = ['agentid']",
        "broken = [agentid",
        "# agentid\n" + "a." * 50 + "b = 1",
        "#" * (MAX_PYPROJECT + 1),
    ],
)
def test_a_pyproject_of_others_is_passed_by(tree, text):
    root, write = tree
    write("a/pyproject.toml", text)

    assert find(root / "a") is None


@pytest.mark.parametrize(
    "text",
    [
        OURS,
        "[tool.agentid]",
        "[tool]\nagentid.trust_domain = 'x'",
        "tool.agentid.trust_domain = 'x'",
        "tool = { agentid = {} }",
        "[ tool . 'agentid' . audit ]\npath = 'x'",
        "[[tool.agentid.data]]\nresource = 'x'",
        # wrong, but plainly ours: better an error than no rules
        "[tool.agentid]\nx = [",
        "[tool.agentid.agents.x]\nbroken",
        "[tool]\nagentid = 1",
    ],
)
def test_a_pyproject_with_our_table_is_found_even_if_it_is_wrong(tree, text):
    root, write = tree

    assert find(root / "a/b") is None
    assert write("a/pyproject.toml", text) == find(root / "a/b")


def test_what_is_found_and_wrong_is_an_error_and_not_passed_by(tree):
    root, write = tree
    write("agentid.toml", "")
    (root / "a/agentid.toml").symlink_to(root / "nowhere")
    (root / "a/b/agentid.toml").mkdir()
    write("a/b/c/agentid.toml", "alow = 1")

    for folder, expected in (("a", "no such file"), ("a/b", "it is a folder"), ("a/b/c", "line 1: unknown key `alow`")):
        with pytest.raises(ConfigurationError, match=expected):
            Config.find(root / folder)


def test_a_pyproject_that_cannot_be_read_is_passed_by(tree):
    root, write = tree
    (root / "a/pyproject.toml").mkdir()
    (root / "a/b/pyproject.toml").write_bytes(b"[tool.agentid]\n# \xff")
    outer = write("agentid.toml", "")

    assert find(root / "a/b/c") == outer


def test_a_start_that_cannot_be_looked_at_is_an_error(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    with pytest.raises(ConfigurationError, match="it is no path"):
        find(tmp_path / "a\0b")
    if sys.version_info < (3, 13):  # from there on, a path that leads to itself is taken as it is
        with pytest.raises(ConfigurationError, match="cannot read `loop`"):
            find(tmp_path / "loop")


def test_without_a_parser_only_a_pyproject_that_is_plainly_ours_matters(tree, monkeypatch):
    root, write = tree
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    monkeypatch.setitem(sys.modules, "tomli", None)
    write("a/pyproject.toml", "[project.scripts]\nagentid = 'x'")
    write("a/b/pyproject.toml", OURS)
    own = write("a/b/c/agentid.toml", "")

    assert find(root / "a") is None
    assert find(root / "a/b/c") == own
    for call in (lambda: find(root / "a/b"), lambda: Config.load(own)):
        with pytest.raises(MissingExtraError, match="toml"):
            call()


def test_the_values_alone_load_no_parser():
    code = (
        "import sys, agentid.config;"
        "print(sorted({'tomllib','tomli','pydantic','agentid.config.reader','agentid.config.toml'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n"


# --- junk ---------------------------------------------------------------------------------------------------------


def only_our_errors(call):
    """Whatever is wrong, it is a ConfigurationError of one line, soon. Loose: the machine may be busy."""
    error = None
    start = time.thread_time()
    try:
        call()
    except ConfigurationError as caught:
        error = caught
    assert time.thread_time() - start < 1
    if error is not None:
        assert str(error).isprintable()
        assert len(str(error)) < 1000
        assert error.__suppress_context__ or error.__context__ is None


KEYS = ["trust_domain", "authority", "environment", "forbid", "ask", "agents", "data", "place", "flow", "limits", "audit",
        "approval", "allow", "x", "owner", "resource", "labels", "path", "ttl_minutes", "permission", "where"]  # fmt: skip
LEAVES = st.one_of(
    st.sampled_from(
        ["1", "true", "nan", "-inf", "1979-05-27", "0xfff", "1e400", HEX, '"a"', '"read:a/*"', '""', '"\\u0000"']
    ),
    st.sampled_from(["read:a", "write:**", "read:a where {", "x", "*", "\u212a", "a/../b", "\x7f"]).map(
        lambda t: f"'{t}'"
    ),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.dictionaries(st.sampled_from([*KEYS, "at_most", "any_of", "all_of", "one_of"]), inner, max_size=3).map(
            lambda table: f"{{{','.join(f'{key}={value}' for key, value in table.items())}}}"
        )
    ),
    max_leaves=8,
)
TABLES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4).map(
    lambda table: "".join(f"{key} = {value}\n" for key, value in table.items())
)


@relaxed
@given(st.text(max_size=200), st.sampled_from(["agentid.toml", "pyproject.toml", "\x1b[2J\n.toml"]))
def test_junk_text_gives_only_our_errors(text, name):
    only_our_errors(lambda: parse(text, source=SOURCE.with_name(name)))


@settings(relaxed, max_examples=generated.examples(300))
@given(TABLES)
@example("agents = {a = {allow = [{permission='read:x', where={a={any_of=[1]}}}]}}")
@example("agents = {a = {allow = [{permission='read:x', where={a={any_of=[{}]}}}]}}")
@example("agents = {a = {allow = [{permission='read:x', where={a={}}}]}}")
@example(f"agents = {{a = {{allow = [{{permission='read:x', where={{a={'{any_of=[' * 90}1{']}' * 90}}}}}]}}}}")
@example(f"agents = {{a = {{allow = [{{permission='read:x', where={{a={'[' * 90}1{']' * 90}}}}}]}}}}")
def test_valid_toml_of_no_sense_gives_only_our_errors(text):
    only_our_errors(lambda: parse(text, source=SOURCE))


@settings(relaxed, max_examples=generated.examples(300))
@given(st.data())
def test_a_mutated_configuration_gives_only_our_errors(data):
    text = EXAMPLE
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 30)))
        text = (
            text[:start]
            + data.draw(VALUES | st.sampled_from(['"', "[", "]", "\n", "#", "=", "\0", "[[", "'''"]))
            + text[end:]
        )

    only_our_errors(lambda: parse(text, source=SOURCE))


@settings(relaxed, max_examples=50)
@given(st.binary(max_size=100))
def test_junk_bytes_in_a_file_give_only_our_errors(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("junk") / "pyproject.toml"
    path.write_bytes(raw)

    only_our_errors(lambda: read(path))
    only_our_errors(lambda: find(path))

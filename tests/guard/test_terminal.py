"""Asking on a terminal: nothing that is shown can move the cursor, and only a yes to what was read is a yes."""

from __future__ import annotations

import io
import os
import pty
import threading
from datetime import timedelta

import pytest

from agentid import ApprovalRequest, Resource, TerminalApprover
from agentid.record import Access

REQUEST = ApprovalRequest(
    agent="bot",
    agent_id="spiffe://acme.example/agent/bot",
    tool="send",
    accesses=(Access("write", Resource.parse("mail/outbox/ada")),),
    arguments={"to": "ada", "body": "hello"},
    task="Answer Ada",
    timeout=timedelta(seconds=30),
)


class Screen(io.StringIO):
    """Remembers what is written, and tells when a question is there."""

    def __init__(self):
        super().__init__()
        self.asked = threading.Semaphore(0)

    def write(self, text):
        written = super().write(text)
        if "[y/N]" in text:
            self.asked.release()
        return written


@pytest.fixture
def terminal():
    """A pseudo terminal: the end where keys are pressed, and an approver at the other."""
    keys, other = pty.openpty()
    with os.fdopen(other, "r", encoding="utf-8") as stdin:
        screen = Screen()
        yield keys, TerminalApprover(stdin=stdin, stdout=screen), screen
    os.close(keys)


def ask(terminal, typed, request=REQUEST):
    """Ask, and type once the question is there."""
    keys, approver, screen = terminal
    answers = []
    thread = threading.Thread(target=lambda: answers.append(approver(request)))
    thread.start()
    assert screen.asked.acquire(timeout=10)
    os.write(keys, typed)
    thread.join(10)
    return answers[0]


@pytest.mark.parametrize("typed", [b"y\n", b"Y\n", b"yes\n", b"YES\n", b"  yes  \n"])
def test_only_y_and_yes_are_a_yes(typed, terminal):
    answer = ask(terminal, typed)

    assert (True, "terminal") == (answer.approved, answer.approver)


@pytest.mark.parametrize("typed", [b"n\n", b"\n", b"no\n", b"yy\n", b"yes please\n", b"j\n", b"1\n", b"\x04"])
def test_anything_else_is_a_no(typed, terminal):
    answer = ask(terminal, typed)

    assert (False, "the answer was no") == (answer.approved, answer.why)


def test_the_question_shows_the_whole_call(terminal):
    ask(terminal, b"n\n")

    assert (
        "bot wants to call send:\n"
        "  write   mail/outbox/ada\n"
        "  to = 'ada'\n"
        "  body = 'hello'\n"
        "  task: Answer Ada\n"
        "Allow it this once? [y/N] "
    ) == terminal[2].getvalue()


def test_keys_pressed_before_the_question_was_shown_answer_nothing(terminal):
    """A second press of `y` for the last question is no yes to the next one."""
    keys, _, _ = terminal
    os.write(keys, b"y\ny\n")

    assert not ask(terminal, b"n\n").approved


HOSTILE = "\x1b[2J\x1b[H\r\nAllow it? y\x07\u202e\u200b\x9b31m\0"


@pytest.mark.parametrize("place", ["argument", "argument name", "nested", "task", "agent", "tool"])
def test_nothing_that_is_shown_can_move_the_cursor_or_fake_a_line(place, terminal):
    changes = {
        "argument": {"arguments": {"to": HOSTILE}},
        "argument name": {"arguments": {HOSTILE: "ada"}},
        "nested": {"arguments": {"to": [{"a": HOSTILE}]}},
        "task": {"task": HOSTILE},
        "agent": {"agent": HOSTILE},
        "tool": {"tool": HOSTILE},
    }[place]
    fields = {name: getattr(REQUEST, name) for name in ApprovalRequest.__dataclass_fields__}
    ask(terminal, b"n\n", ApprovalRequest(**{**fields, **changes}))

    shown = terminal[2].getvalue()
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert shown.count("\n") == len(changes.get("arguments", REQUEST.arguments)) + 3


class HostileRepr:
    """Its own text is an attack."""

    def __repr__(self):
        return HOSTILE


def test_the_text_of_an_object_cannot_move_the_cursor_either(terminal):
    fields = {name: getattr(REQUEST, name) for name in ApprovalRequest.__dataclass_fields__}
    ask(terminal, b"n\n", ApprovalRequest(**{**fields, "arguments": {"to": HostileRepr()}}))

    assert all(character.isprintable() or character == "\n" for character in terminal[2].getvalue())


def with_arguments(**arguments):
    fields = {name: getattr(REQUEST, name) for name in ApprovalRequest.__dataclass_fields__}
    accesses = tuple(Access("write", Resource.parse(f"mail/outbox/c-{n}")) for n in range(100))
    return ApprovalRequest(**{**fields, "accesses": accesses, "arguments": arguments})


def test_all_of_a_call_is_shown(terminal):
    """A yes to half a call would be a yes to anything: the last of a hundred recipients, the end of a long text."""
    request = with_arguments(body="x" * 5_000 + "the end", **{f"name_{n}": n for n in range(100)})
    answer = ask(terminal, b"y\n", request)

    shown = terminal[2].getvalue()
    assert answer.approved
    assert all(f"write   mail/outbox/c-{n}\n" in shown for n in range(100))
    assert all(f"  name_{n} = {n}\n" in shown for n in range(100))
    assert "xthe end'\n" in shown


def test_what_is_too_long_to_be_read_is_not_approved(terminal):
    _, approver, screen = terminal
    answer = approver(with_arguments(body="x" * 20_000))

    assert (False, "the question is too long to be read on a terminal") == (answer.approved, answer.why)
    assert "" == screen.getvalue()


def test_an_answer_that_comes_too_late_is_a_no_and_says_so(terminal):
    fields = {name: getattr(REQUEST, name) for name in ApprovalRequest.__dataclass_fields__}
    _, approver, screen = terminal
    late = ApprovalRequest(**{**fields, "timeout": timedelta(0)})

    assert "nobody answered in time" == approver(late).why
    assert "" == screen.getvalue()


def test_an_answer_after_the_time_is_up_is_pointed_out(terminal, monkeypatch):
    times = iter([0.0, 1.0, 31.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times, 31.0))

    answer = ask(terminal, b"y\n")

    assert (False, "nobody answered in time") == (answer.approved, answer.why)
    assert "too late" in terminal[2].getvalue()


def test_one_question_is_asked_at_a_time(terminal):
    """A yes typed for the question on the screen never answers another one."""
    keys, approver, screen = terminal
    fields = {name: getattr(REQUEST, name) for name in ApprovalRequest.__dataclass_fields__}
    answers = {}

    def work(name):
        answers[name] = approver(ApprovalRequest(**{**fields, "tool": name}))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    shown = []
    for typed in (b"y\n", b"n\n"):
        assert screen.asked.acquire(timeout=10)
        assert not screen.asked.acquire(blocking=False)
        shown.append(max(("first", "second"), key=screen.getvalue().rfind))
        os.write(keys, typed)
    for thread in threads:
        thread.join(10)

    assert {shown[0]: True, shown[1]: False} == {name: answer.approved for name, answer in answers.items()}


@pytest.mark.parametrize("stdin", [io.StringIO("y\n"), io.StringIO("")], ids=["a pipe that says yes", "nothing"])
def test_without_a_terminal_the_answer_is_no(stdin):
    screen = io.StringIO()

    assert "there is no terminal to ask on" == TerminalApprover(stdin=stdin, stdout=screen)(REQUEST).why
    assert "" == screen.getvalue()


def test_by_default_it_asks_on_the_standard_streams(monkeypatch, capsys):
    """The question goes to the standard error, so that a program's output can be piped."""
    monkeypatch.setattr("sys.stdin", None)
    assert not TerminalApprover()(REQUEST).approved

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert TerminalApprover()(REQUEST).approved
    assert ("", True) == (capsys.readouterr().out, True)

"""What does not grow: the cost of a call with the number of sessions that are open."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from contextvars import Context, copy_context

from agentid import Authority, Guard, requires
from benchmarks.calls import bare, repeat
from benchmarks.harness import Case, Suite

__all__ = ["suites"]


def suites() -> list[Suite]:
    """The suites of this subject."""
    authority = Authority.create("bench.example")
    guard = Guard(authority.trust)
    agents = [authority.issue(f"bot-{number}", allow=["read:crm/customers/*"]) for number in range(1_000)]
    tool = requires("read:crm/customers/{customer_id}")(bare)
    call = repeat(tool)
    contexts: dict[int, Context] = {}

    def case(count: int, yardstick: str | None, target: float | None) -> Case:
        def batch(times: int) -> None:
            contexts[count].run(call, times)

        name = f"call among {count:,} open session{'s' if count > 1 else ''}"
        return Case(name, batch, yardstick, target)

    @contextmanager
    def open_sessions() -> Generator[None, None, None]:
        with ExitStack() as opened:
            for count in (1, 1_000):
                contexts[count] = copy_context()
                for agent in agents[:count]:
                    session = guard.acting_as(agent)
                    # Each in the same context, one inside the other, as deep as they come.
                    contexts[count].run(session.__enter__)
                    contexts[count].run(tool, "c-42")
                    opened.callback(session.close)
            yield

    one = "call among 1 open session"
    return [Suite("sessions", [case(1, None, None), case(1_000, one, 1.3)], around=open_sessions)]

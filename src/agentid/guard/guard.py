"""The guard: where decisions are enforced. It joins who, may and record; the steps are in `enforce`."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NoReturn, TypeVar, cast

from agentid.errors import ConfigurationError, quote
from agentid.guard.calls import around
from agentid.guard.data_access import DataAccess
from agentid.guard.session import NobodyActing, Session
from agentid.guard.telemetry import captures_content
from agentid.policy import Policy, Rules
from agentid.record import Access, AccessRecord, Audit, Metrics, Observer, TracerProvider, Tracing
from agentid.resource import Resource

if TYPE_CHECKING:
    from agentid.guard.approval import Approver
    from agentid.identity import Agent, Grant, TrustAnchor, TrustAnchors

__all__ = ["Guard", "ObserveOnlyGuard"]

F = TypeVar("F", bound=Callable[..., Any])

_MAX_RULES: Final = 4096
_MAX_TASK: Final = 64 * 1024
_OF_ITS_CLASS: Final = frozenset({"enforcement", "__class__"})
_FIXED: Final = frozenset(
    {"trust", "policy", "audit", "observers", "approver", "tracing", "clock", "monotonic_ns", "captures_content"}
)
log = logging.getLogger("agentid")


class Guard:
    """
    Enforces who may do what, and records what was done.

    Args:
        trust: Verifies agents; usually `authority.trust`, or `TrustAnchors` for agents of several trust domains.
        policy: The guard's own rules, which only narrow what grants allow.
        approver: Asks a person, sync or async; without one, whatever must be asked is refused.
        audit: Where decisions are written before the act. If it cannot be written, the call is refused.
        observers: Get each record, best effort.
        limits: Not supported in this version; must be None.
        tracer_provider: Where spans go; by default the global one, if any is set.

    Raises:
        ConfigurationError: An argument is not what it should be.
    """

    enforcement: ClassVar[Literal["enforced", "monitor"]] = "enforced"

    def __init__(
        self,
        trust: TrustAnchor | TrustAnchors,
        *,
        policy: Policy | None = None,
        approver: Approver | None = None,
        audit: Audit | None = None,
        observers: Iterable[Observer] = (),
        limits: None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        if not hasattr(trust, "verify_agent"):
            raise ConfigurationError(
                f"{quote(type(trust).__name__)} is no trust anchor", fix="Pass `authority.trust` to Guard"
            )
        if policy is not None and not isinstance(policy, Policy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"{quote(type(policy).__name__)} is no policy",
                fix='Pass Policy(forbid=[…]) or Policy.load("agentid.toml")',
            )
        if limits is not None:
            raise ConfigurationError(
                "limits are not supported in this version", why="a limit that nobody enforces would only look safe"
            )
        if approver is not None and not callable(approver):
            raise ConfigurationError(f"approver {quote(type(approver).__name__)} cannot be called")
        if audit is not None and not hasattr(audit, "write"):
            raise ConfigurationError(f"audit {quote(type(audit).__name__)} cannot be written to")
        if tracer_provider is not None and not hasattr(tracer_provider, "get_tracer"):
            raise ConfigurationError(f"{quote(type(tracer_provider).__name__)} is no tracer provider")
        self.trust = trust
        self.policy = policy or Policy()
        _warn_unenforced(self.policy)
        self.approver = approver
        self.audit = audit
        self.observers = _callables(observers)
        self.tracing = Tracing(tracer_provider)
        self.clock: Callable[[], float] = trust.clock
        self.monotonic_ns: Callable[[], int] = time.perf_counter_ns
        self.captures_content = captures_content()
        self._metrics: Metrics | None = None
        self._rules: OrderedDict[int, tuple[Grant, Rules]] = OrderedDict()
        self._lock = threading.Lock()
        self._configured: Callable[[str], Agent] | None = None

    @classmethod
    def from_config(
        cls,
        path: str | PathLike[str] | None = None,
        *,
        approver: Approver | None = None,
        audit: Audit | None = None,
        observers: Iterable[Observer] = (),
        tracer_provider: TracerProvider | None = None,
    ) -> Guard:
        """
        A guard as `agentid.toml` says; its agents are issued by name with `agent`.

        Args:
            path: The file; by default the nearest one, in the current folder or above it.
            approver: As for `Guard`.
            audit: As for `Guard`; by default the audit log that `[audit]` names, if it names one.
            observers: As for `Guard`.
            tracer_provider: As for `Guard`.

        Raises:
            ConfigurationError: The file is missing or wrong; the message names the line.
        """
        from agentid.guard.configured import wire

        trust, policy, issue, configured_audit = wire(path, audit=audit is None)
        guard = cls(
            trust,
            policy=policy,
            approver=approver,
            audit=configured_audit if audit is None else audit,
            observers=observers,
            tracer_provider=tracer_provider,
        )
        guard._configured = issue
        return guard

    def __setattr__(self, name: str, value: Any) -> None:
        # A session, a plan and the compiled rules remember these: changed later, they would only seem to be.
        if (name in _FIXED and name in self.__dict__) or name in _OF_ITS_CLASS:
            raise _fixed(name)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in _FIXED:
            raise _fixed(name)
        super().__delattr__(name)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise ConfigurationError(
            "A guard was to be copied or pickled", why="it holds what others must not get at", fix="Make another one"
        )

    def agent(self, name: str) -> Agent:
        """
        Issue an agent as the configuration file says.

        Raises:
            ConfigurationError: The file has no agent of that name, or the guard was made without a file.
        """
        if self._configured is None:
            raise ConfigurationError(
                f"there is no configured agent {quote(name)}",
                why="this guard was made without a configuration file",
                fix='Use `Guard.from_config("agentid.toml")`, or `authority.issue(…)`',
            )
        return self._configured(name)

    def acting_as(self, agent: Agent, *, task: str = "") -> Session:
        """
        A session in which *agent* acts, to be used as a context manager, sync or async.

        Args:
            agent: Verified here: credential, grant, and that it holds its key.
            task: What it was asked to do. Shown to approvers, so do not put secrets into it.

        Raises:
            CredentialError: The agent could not be verified.
        """
        if not hasattr(agent, "credential_token"):
            raise ConfigurationError(
                f"{quote(type(agent).__name__)} is no agent", fix="Pass what `authority.issue(…)` returned"
            )
        if not isinstance(task, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"the task is {quote(type(task).__name__)}, and it must be text")
        if len(task) > _MAX_TASK or not _can_be_shown(task):
            raise ConfigurationError(
                "the task was refused", why=f"it must be text of at most {_MAX_TASK} characters that can be shown"
            )
        with NobodyActing():
            verified = self.trust.verify_agent(agent, now=self.clock())
        return Session(self, agent, verified, self._rules_for(verified.grant), task)

    def bind(self, agent: Agent, function: F, *, task: str = "") -> F:
        """
        A version of *function* each call of which runs in a session of its own, as *agent*.

        For frameworks that run tools in threads of their own.
        """
        self.acting_as(agent).close()  # whatever is wrong with the agent is wrong now

        from agentid.guard.bound import BoundCall

        return around(function, lambda _args, _kwargs: BoundCall(self.acting_as(agent, task=task)))

    def access(self, action: str, resource: str | Resource, **facts: Any) -> DataAccess:
        """
        Guard a block that is no function: the same seven steps, as a context manager, sync or async.

        ```python
        with guard.access("read", "crm/customers/c-42"):
            row = connection.execute(…)
        ```

        Args:
            action: One of the six.
            resource: What is touched, literally: no wildcards.
            facts: Values that constraints may look at, as arguments of a tool.

        Raises:
            ConfigurationError: The action or resource is not one.
        """
        return DataAccess(self, action, resource, facts)

    @property
    def is_quick(self) -> bool:
        """Whether an allowed call needs nothing but a span: nobody else is told, and no content is captured."""
        return (
            self.enforcement == "enforced" and self.audit is None and not self.observers and not self.captures_content
        )

    # --- for the enforcement function -------------------------------------------------------------

    def labels(self, accesses: tuple[Access, ...]) -> tuple[str, ...]:
        """The configured labels of all these resources, sorted."""
        if not self.policy.data:
            return ()
        return tuple(sorted({label for access in accesses for label in self.policy.labels(access.resource.key)}))

    def observe(self, record: AccessRecord) -> None:
        """Give a finished record to each observer; what one raises is logged and changes nothing."""
        for observer in self.observers:
            try:
                observer(record)
            except Exception as failure:  # noqa: BLE001 -- an observer only watches
                log.warning("observer failed on %s: %s", record.tool, type(failure).__name__)

    def metrics(self) -> Metrics | None:
        """The instruments, or None while nobody measures."""
        if self._metrics is None:
            self._metrics = Metrics.current()
        return self._metrics

    def _rules_for(self, grant: Grant) -> Rules:
        """The grant and the policy compiled, once for each grant."""
        with self._lock:
            # By the verified object, and never by an id inside: whoever signs a grant chooses that.
            found = self._rules.get(id(grant))
            if found is None:
                found = self._rules[id(grant)] = grant, Rules(grant.allow, grant.ask, self.policy, grant.must_ask)
                if len(self._rules) > _MAX_RULES:
                    self._rules.popitem(last=False)
            return found[1]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.trust.trust_domain}>"


def _can_be_shown(task: str) -> bool:
    """Whether an approver can read it: no half characters, and of those that control a terminal only line breaks."""
    return all(line.isprintable() for line in task.replace("\t", " ").splitlines())


def _fixed(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{quote(name)} of a guard cannot be changed", fix="Make another guard, and open sessions with that"
    )


def _warn_unenforced(policy: Policy) -> None:
    """Say which rules are kept and not acted on yet: a rule that only looks enforced is worse than none."""
    for table, there in (("[[flow]]", policy.flows), ("[limits]", policy.limits)):
        if there:
            log.warning("%s is read and kept, but this version does not act on it", table)


def _callables(observers: Iterable[Observer]) -> tuple[Observer, ...]:
    try:
        found = tuple(observers)
    except TypeError:
        found = (None,)
    if not all(map(callable, found)):
        raise ConfigurationError("an observer cannot be called", fix="Pass a list of functions that take one record")
    return cast("tuple[Observer, ...]", found)


class ObserveOnlyGuard(Guard):
    """
    Lets every call run and records what would have been refused, as `would_deny`.

    For finding out what an agent needs. It protects nothing: a class of its own, so that no flag can turn
    a guard into this.
    """

    enforcement: ClassVar[Literal["enforced", "monitor"]] = "monitor"

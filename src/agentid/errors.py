"""
Every error that `agentid` raises, in one tree.

```text
Error                          catch this to catch them all
├── ConfigurationError         wired wrongly; raised while wiring, never by a call that was wired well
├── MissingExtraError          an optional package is not installed
├── NoActingAgentError         who: nobody, or somebody whose session has ended
├── CredentialError            who: not proven
│   ├── CredentialExpiredError
│   ├── CredentialRevokedError
│   └── DelegationError        tried to hand on more than is held
├── AccessDeniedError          may it: no
│   ├── ApprovalRefusedError   a person said no, or nobody answered
│   ├── FlowForbiddenError     this data may not go there
│   └── LimitExceededError     too much of it
├── AuditUnavailableError      could not be written down, so it was not done
└── AuditTamperedError         the audit log does not verify
```

Rules:

- None derives from `OSError` or `ValueError`: tools catch those, and a denial must not be swallowed.
- Each says on one line *what* was refused, *why*, and how to *fix* it. Text that came from outside
  stands in backticks, shortened, with control characters escaped.
- `Error.code` is stable, for dashboards. `Error.for_model` is the one sentence that a model may see:
  reasons help whoever steers the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

__all__ = [
    "AccessDeniedError",
    "ApprovalRefusedError",
    "AuditTamperedError",
    "AuditUnavailableError",
    "ConfigurationError",
    "CredentialError",
    "CredentialExpiredError",
    "CredentialRevokedError",
    "DelegationError",
    "Error",
    "FlowForbiddenError",
    "LimitExceededError",
    "MissingExtraError",
    "NoActingAgentError",
]


_MAX_QUOTED: Final = 4_000


class Error(Exception):
    """
    Base of every error of this library.

    Args:
        what: What was refused or went wrong.
        why: The reason, where there is one.
        fix: What to change, naming only things that exist.
        for_model: The short sentence that a model may see; the class has a default.
    """

    code: ClassVar[str] = "agentid.error"
    _for_model: ClassVar[str] = "the call could not be made"

    def __init__(self, what: str, *, why: str = "", fix: str = "", for_model: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.for_model = for_model or self._for_model

    def __str__(self) -> str:
        text = f"[{self.code}] {self.what}"
        if self.why:
            text += f": {self.why}"
        if self.fix:
            text += f". {self.fix}"
        return text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.what, self.why, self.fix, self.for_model)


def _rebuild(kind: type[Error], what: str, why: str, fix: str, for_model: str) -> Error:
    return kind(what, why=why, fix=fix, for_model=for_model)


class ConfigurationError(Error):
    """The library is wired wrongly: a permission, a configuration file, a decorator or an argument."""

    code = "configuration.invalid"
    _for_model = "the tool is not set up correctly"


class MissingExtraError(Error):
    """An optional package is needed and not installed; the message names the extra to install."""

    code = "extra.missing"
    _for_model = "the tool is not set up correctly"


class NoActingAgentError(Error):
    """No agent is acting here: there is no session, it has ended, or it did not follow into this thread."""

    code = "agent.none"
    _for_model = "not permitted: no agent is acting"


class CredentialError(Error):
    """A credential, grant, key or agent id is malformed, forged, foreign or used where it must not be."""

    code = "credential.invalid"
    _for_model = "not permitted: the agent's identity could not be verified"


class CredentialExpiredError(CredentialError):
    """The credential or grant was good once and its time is over."""

    code = "credential.expired"
    _for_model = "not permitted: the agent's credential has expired"


class CredentialRevokedError(CredentialError):
    """The agent, its credential or its grant was taken back."""

    code = "credential.revoked"
    _for_model = "not permitted: the agent's credential was revoked"


class DelegationError(CredentialError):
    """A grant hands on more than its parent holds, or its chain is broken."""

    code = "delegation.refused"


class AccessDeniedError(Error):
    """
    The agent may not do this; the body of the tool did not run.

    `decision` and `agent` (its name) say what was decided about whom, so that nobody needs to read
    the text. The text is put together only when somebody reads it: many denials are caught and
    counted, and none should pay for prose.
    """

    code = "access.denied"
    _for_model = "not permitted"
    _explain: Callable[[], tuple[str, str, str, str]] | None = None

    def __init__(
        self,
        what: str = "",
        *,
        why: str = "",
        fix: str = "",
        for_model: str = "",
        decision: Any = None,
        agent: str = "",
    ) -> None:
        Exception.__init__(self, what)
        self.decision = decision
        self.agent = agent
        self._text = (what, why, fix, for_model or self._for_model)

    @classmethod
    def explained(
        cls, decision: Any, agent: str, explain: Callable[[], tuple[str, str, str, str]]
    ) -> AccessDeniedError:
        """An error whose text *explain* puts together, if somebody reads it: what, why, fix, for a model."""
        # Past `__init__`: a denial that nobody reads should cost little more than any exception.
        error = cls.__new__(cls)
        error.decision = decision
        error.agent = agent
        error._explain = explain
        return error

    def _parts(self) -> tuple[str, str, str, str]:
        if self._explain is not None:
            self._text = self._explain()
            self._explain = None  # and let go of the session that it knows
        return self._text

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), *self._parts()), {"decision": self.decision, "agent": self.agent}

    @property
    def what(self) -> str:  # type: ignore[override]
        """What was refused."""
        return self._parts()[0]

    @property
    def why(self) -> str:  # type: ignore[override]
        """The reason."""
        return self._parts()[1]

    @property
    def fix(self) -> str:  # type: ignore[override]
        """What to change so that it would be allowed."""
        return self._parts()[2]

    @property
    def for_model(self) -> str:  # type: ignore[override]
        """The short sentence that a model may see."""
        return self._parts()[3]


class ApprovalRefusedError(AccessDeniedError):
    """A person had to say yes, and did not: no, no answer in time, nobody to ask, or the asking failed."""

    code = "approval.refused"
    _for_model = "not permitted: a person did not approve"


class FlowForbiddenError(AccessDeniedError):
    """Data with such labels may not go to such a place."""

    code = "flow.forbidden"
    _for_model = "not permitted: this data may not go there"


class LimitExceededError(AccessDeniedError):
    """The agent has used up what it may call, read or move in this window."""

    code = "limit.exceeded"
    _for_model = "not permitted: the limit is used up"


class AuditUnavailableError(Error):
    """The audit log could not be written, so the call was refused."""

    code = "audit.unavailable"
    _for_model = "the call could not be recorded, so it was not made"


class AuditTamperedError(Error):
    """The audit log does not verify; the message names the first bad record."""

    code = "audit.tampered"


def quote(text: object, *, limit: int = 80) -> str:
    """
    Put text from outside into backticks, as `one_line` writes it.

    A backtick in it is escaped, so that it cannot end its own quotation. Of a URL, what stands before `@` in its
    host and behind `?` or `#` is left out: passwords and tokens stand there.
    """
    if isinstance(text, str) and "://" in text:
        text = _without_secrets(text[:_MAX_QUOTED])
    shown = one_line(text, limit=limit).replace("`", r"\x60")
    return f"`{shown}`"


def one_line(text: object, *, limit: int = 80) -> str:
    """
    Write text from outside on one line, shortened to *limit* characters.

    Control characters, line breaks and invisible characters are escaped, so that no message can forge a
    second line in a log or move a terminal's cursor.
    """
    try:
        raw = text if isinstance(text, str) else str(text)
    except Exception:  # noqa: BLE001 -- a message about a bad value must not fail for that value
        raw = f"<{type(text).__name__}>"
    shown = raw[:limit]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)
    return f"{shown}…" if len(raw) > limit else shown


def _without_secrets(text: str) -> str:
    import re  # only a message about a URL needs it

    text = re.sub(r"://[^/?#\s]*@", "://…@", text)
    return re.sub(r"(://[^?#\s]*[?#])\S+", r"\1…", text)


def nearest(word: str, known: Iterable[str]) -> str:
    """Say `` did you mean `x`? `` for the nearest known word, or list the known ones, sorted."""
    from difflib import get_close_matches  # only a message that goes wrong needs it

    words = sorted(known)
    # A long word cannot be a slip of the pen, and comparing it would cost time.
    close = get_close_matches(word, words, n=1, cutoff=0.6) if len(word) <= 100 else []
    if close:
        return f"Did you mean `{close[0]}`?"
    return f"Use one of {', '.join(f'`{w}`' for w in words)}." if words else ""

"""From a configuration file to what a guard is wired to: trust, policy, audit log, and how its agents are issued."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING

from agentid.config import Config
from agentid.errors import ConfigurationError, nearest, quote
from agentid.identity import Authority
from agentid.policy import Policy
from agentid.record.audit import AuditLog

if TYPE_CHECKING:
    from agentid.identity import Agent, TrustAnchor

__all__ = ["wire"]


def wire(
    path: str | PathLike[str] | None, *, audit: bool
) -> tuple[TrustAnchor, Policy, Callable[[str], Agent], AuditLog | None]:
    """
    Read a configuration and open its authority, which is made when missing, and its audit log, if *audit*.

    Raises:
        ConfigurationError: There is no file, or it is wrong.
    """
    config = Config.find() if path is None else Config.load(path)
    if config is None:
        raise ConfigurationError(
            "there is no configuration file here or above",
            fix="Write an `agentid.toml`, or make the guard with `Guard(authority.trust)`",
        )
    authority = Authority.open(config.authority, trust_domain=config.trust_domain, status_uri=config.status_uri)

    def issue(name: str) -> Agent:
        entry = config.agents.get(name)
        if entry is None:
            raise ConfigurationError(f"the configuration has no agent {quote(name)}", fix=nearest(name, config.agents))
        return authority.issue(
            name, allow=entry.allow, ask=entry.ask, ttl=entry.ttl, owner=entry.owner, purpose=entry.purpose
        )

    wanted = config.audit if audit else None
    written = None if wanted is None else AuditLog(wanted, signer=authority.audit_signer(), trust=authority.trust)
    return authority.trust, Policy.of(config), issue, written

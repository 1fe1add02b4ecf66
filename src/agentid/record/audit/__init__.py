"""
The audit log: an append-only, verifiable record of every decision, in files.

Write:

- `audit_log`: `AuditLog`, what a guard is given.
- `chain`: one process's chain of records; `append_file`, `group_commit`: how they reach the disk.
- `record_line`: the shape of a record; `canonical`: its one spelling.
- `anchors`, `anchor_sender`: checkpoints go elsewhere, too.
- `retention`, `removal`: what is removed after its time, and the statement that stays.

Verify:

- `verify`: `verify_audit_log`; `chain_check`, `chunk_check`, `chunk_plan`, `worker_pool`: one chain, some lines, where
  to cut, and in how many processes.
- `report`: what was found.
- `proof`: that a record is in the log, for whoever has only a checkpoint.
- `reader`: records, filtered and followed.

The words of the field: `merkle`, `merkle_proof` (RFC 6962), `signed_note`, `checkpoint`, `notes_file` (C2SP).
`chain_files` knows the names of files, `trusted_keys` whose signatures count.
"""

from __future__ import annotations

from agentid.record.audit.anchor_sender import Anchor
from agentid.record.audit.anchors import FileAnchor, LogEventAnchor, WebhookAnchor
from agentid.record.audit.audit_log import AuditLog
from agentid.record.audit.report import AuditProblem, AuditReport, Torn
from agentid.record.audit.verify import verify_audit_log

__all__ = [
    "Anchor",
    "AuditLog",
    "AuditProblem",
    "AuditReport",
    "FileAnchor",
    "LogEventAnchor",
    "Torn",
    "WebhookAnchor",
    "verify_audit_log",
]

"""
Every name that appears in spans and metrics.

The names of OpenTelemetry's conventions for generative AI moved to a repository of their own and have no
package yet, so they stand here as text. Own names begin with `agentid.`; nothing is added to a namespace
of somebody else.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "agentid"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

# Conventions for generative AI (development status).
OPERATION_NAME: Final = "gen_ai.operation.name"
EXECUTE_TOOL: Final = "execute_tool"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_ID: Final = "gen_ai.agent.id"

# Stable conventions.
ERROR_TYPE: Final = "error.type"
CODE_FUNCTION: Final = "code.function.name"

# Stable conventions for what libraries touch. They stand on our own span where nobody else makes one.
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
DB_SYSTEM: Final = "db.system.name"
DB_NAMESPACE: Final = "db.namespace"
DB_COLLECTION: Final = "db.collection.name"
DB_OPERATION: Final = "db.operation.name"
DB_SUMMARY: Final = "db.query.summary"
DB_ROWS: Final = "db.response.returned_rows"
FILE_PATH: Final = "file.path"
EXECUTABLE: Final = "process.executable.name"
S3_BUCKET: Final = "aws.s3.bucket"
S3_KEY: Final = "aws.s3.key"

# Own names.
ID: Final = "agentid.agent.id"
INSTANCE: Final = "agentid.agent.instance_id"
OWNER: Final = "agentid.agent.owner"
CREDENTIAL_ID: Final = "agentid.credential.id"
CREDENTIAL_TYPE: Final = "agentid.credential.type"
GRANT_ID: Final = "agentid.delegation.id"
DEPTH: Final = "agentid.delegation.depth"
CHAIN: Final = "agentid.delegation.chain"
PRINCIPAL_TYPE: Final = "agentid.principal.type"
DECISION: Final = "agentid.authorization.decision"
ENFORCEMENT: Final = "agentid.authorization.enforcement"
REASON: Final = "agentid.authorization.reason"
PERMISSION: Final = "agentid.authorization.permission"
ENGINE: Final = "agentid.authorization.engine"
APPROVAL_ID: Final = "agentid.approval.id"
TOOL_ID: Final = "agentid.tool.id"
TOOL_EFFECT: Final = "agentid.tool.effect"
OPERATION: Final = "agentid.data.operation"
DATASET: Final = "agentid.data.dataset"
CLASSIFICATION: Final = "agentid.data.classification"
RECORD_COUNT: Final = "agentid.data.record_count"
DATA_SIZE: Final = "agentid.data.size"
LABELS: Final = "agentid.data.labels"
SECOND_DOOR_KIND: Final = "agentid.second_door.kind"
RECORD_ID: Final = "agentid.audit.record_id"

# Events.
SECOND_DOOR: Final = "agentid.second_door"

# Values.
PERMISSION_DENIED: Final = "agentid.permission_denied"
BUILTIN: Final = "builtin"
ENFORCED: Final = "enforced"
MONITOR: Final = "monitor"
UNKNOWN: Final = "unknown"

OPERATION_OF: Final = {
    "read": "read",
    "write": "write",
    "edit": "write",
    "delete": "delete",
    "share": "export",
}
"""What an action does to data; `execute` says nothing about data."""

EFFECT_OF: Final = {
    "read": "read",
    "write": "write",
    "edit": "write",
    "delete": "destructive",
    "share": "external",
    "execute": "external",
}
"""How far a tool reaches; a tool with several permissions is called by the farthest."""

EFFECTS_BY_REACH: Final = ("read", "write", "destructive", "external")

# Metrics.
DECISIONS: Final = "agentid.authorization.decisions"
DECISION_DURATION: Final = "agentid.authorization.duration"
TOOL_DURATION: Final = "gen_ai.execute_tool.duration"
DECISION_BUCKETS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
TOOL_BUCKETS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)

# Exceptions that may carry secrets in their text are recorded by type alone; this opts content in.
CAPTURE_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

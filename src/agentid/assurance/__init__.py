"""
May it ship: what a release is reviewed by.

- `least_privilege`: the permissions that recorded runs show to be needed, from `evidence`, `generalise` and `danger`.
- `suggested_toml`: those as `agentid.toml`, with a comment for what each rests on.

Nothing here decides an access: that is `agentid.guard`.
"""

"""HTTP: one file for each client; and what all share: `request`, `framing`, `body`, `streams`."""

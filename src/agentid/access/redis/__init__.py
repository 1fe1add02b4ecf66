"""Redis: which keys and channels a command touches, and the client that sends it."""

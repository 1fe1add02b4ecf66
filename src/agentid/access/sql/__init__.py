"""SQL text: which tables a statement reads and changes, for every library that sends one. Begin with `reading`."""

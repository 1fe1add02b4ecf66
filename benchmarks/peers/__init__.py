"""
The same call guarded by other libraries, each in an environment of its own, timed in one run.

`python -m benchmarks.peers` installs them below `build/peers`, and times a function that returns its argument, allowed
and denied, in processes that take turns. Each is set up as its own documentation says for production: with its
policy, its identity if it has one, and without logging that it does not do by default.
"""

"""
What a guarded call costs, as ratios within one run.

`python -m benchmarks` prints a table and writes JSON and a picture; `--check` fails if a ratio passes its
target. See `docs/performance.md` for what the figures mean and what they do not say.

- `harness`: interleaved rounds, thread CPU time, medians of ratios.
- `calls`, `spans`, `decisions`, `tokens`, `audit`, `imports`, `scale`: the cases, by subject.
- `access`: those of the wrapped libraries.
- `report`: table, JSON and picture.
"""

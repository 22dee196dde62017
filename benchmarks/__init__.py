"""Measurements; run one with `python -m benchmarks.NAME`. Figures are kept in docs/benchmarks.md."""

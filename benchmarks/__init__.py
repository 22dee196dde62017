"""Measurements; run one with `python -m benchmarks.NAME`. Figures are kept in docs/benchmarks.md."""

import engine  # noqa: F401  before torch: it tells OpenMP how to wait

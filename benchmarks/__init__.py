"""Measurements; run one with `python -m benchmarks.NAME`. Figures are kept in docs/benchmarks.md."""

import engine as _engine  # before torch: it tells OpenMP how to wait

__all__: list[str] = []
_ = _engine

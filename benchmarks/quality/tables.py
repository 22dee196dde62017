"""Rows of figures: kept in files, reduced to one line per solver, set against the reference."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import machine, print_table, write_json

REFERENCE_SOLVER = "draggan-official"

Row = dict[str, Any]


def read_rows(paths: Sequence[Path]) -> list[Row]:
    """Read the rows of several runs."""
    return [row for path in paths for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]


def write_run(options: argparse.Namespace, rows: list[Row], summary: list[Row]) -> None:
    """Write --json: what was run, where, every row, the table."""
    if options.json is None:
        return
    options.json.parent.mkdir(parents=True, exist_ok=True)
    described = {key: str(v) if isinstance(v, Path) else v for key, v in vars(options).items() if key != "read"}
    content = {"options": described, "machine": machine(), "rows": rows, "summary": summary}
    write_json(options.json, content)


def print_summary(title: str, summary: Sequence[Row]) -> None:
    """Print rows of named figures as a Markdown table, numbers in three digits."""
    print(f"\n{title}\n")
    header = list(dict.fromkeys(key for row in summary for key in row))
    print_table(header, [[_cell(row.get(key)) for key in header] for row in summary])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return "–" if value is None else str(value)


def column(rows: Sequence[Row], key: str) -> list[float]:
    """The values of a column that are known."""
    return [float(row[key]) for row in rows if row.get(key) is not None]


def mean(rows: Sequence[Row], key: str) -> float | None:
    """Mean of the known values of a column, None if there are none."""
    values = column(rows, key)
    return float(np.mean(values)) if values else None


def median(rows: Sequence[Row], key: str) -> float | None:
    """Median of the known values of a column, None if there are none."""
    values = column(rows, key)
    return float(np.median(values)) if values else None


def by_solver(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group rows by solver, in order of appearance."""
    return {name: [row for row in rows if row["solver"] == name] for name in dict.fromkeys(r["solver"] for r in rows)}


def cost_columns(rows: Sequence[Row]) -> Row:
    """Return the medians of cost that every table ends with."""
    lost = {"lost": sum(row["lost"] or 0 for row in rows)} if any("lost" in row for row in rows) else {}
    return {
        "destroyed": sum(row["destroyed"] for row in rows),
        **lost,
        "reported lost": sum(row["reported_lost"] for row in rows),
        "steps": median(rows, "steps"),
        "forward eq.": median(rows, "forward_equivalents"),
        "s": median(rows, "seconds"),
        "peak MB": median(rows, "peak_mb"),
    }


def ratios(rows: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """Every solver against the reference, on the pairs for which both have the value.

    Args:
        rows: of all solvers.
        keys: columns; for each the ratio of the means and that of the medians are given.

    Returns:
        One row per other solver; empty without the reference.
    """
    groups = by_solver(rows)
    reference = {row["pair"]: row for row in groups.pop(REFERENCE_SOLVER, [])}
    table = []
    for solver, own in groups.items():
        line: Row = {"solver": solver, "pairs": sum(row["pair"] in reference for row in own)}
        for key in keys:
            both = [
                (row[key], other[key])
                for row in own
                if (other := reference.get(row["pair"])) and None not in (row[key], other[key])
            ]
            for name, average in (("mean", np.mean), ("median", np.median)):
                ours, theirs = (float(average(side)) for side in zip(*both, strict=True)) if both else (0.0, 0.0)
                line[f"{key} {name}"] = ours / theirs if theirs else None
        table.append(line)
    return table if reference else []

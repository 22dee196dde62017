"""The loop that all judges share: every pair with every solver, figures and pictures kept as they come."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.quality import tables
from benchmarks.quality.common import Bench, Pair
from benchmarks.quality.sheet import Cell, draw_sheet
from benchmarks.quality.tables import Row

T = TypeVar("T")


@dataclass(frozen=True)
class Protocol:
    """One judge.

    Attributes:
        title: over its table.
        judge_pair: drags one pair with all solvers; returns their rows and one row of the contact sheet.
        summarise: all rows -> the table, one line per solver.
        compared: columns whose ratio to the reference solver is printed too.
    """

    title: str
    judge_pair: Callable[[Bench, Pair, argparse.Namespace], tuple[list[Row], list[Cell]]]
    summarise: Callable[[Sequence[Row]], list[Row]]
    compared: tuple[str, ...]


def with_each(solvers: Sequence[str], number: int, work: Callable[[str], T]) -> dict[str, T]:
    """Call `work` for every solver, beginning with another one for every pair; results in the order given."""
    start = number % len(solvers)
    done = {solver: work(solver) for solver in (*solvers[start:], *solvers[:start])}
    return {solver: done[solver] for solver in solvers}


def run(protocol: Protocol, options: argparse.Namespace) -> list[Row]:
    """Drag and judge all pairs; files are written after each, so that a run that is cut short is not lost."""
    bench = Bench(options.device)
    bench.warm_up()
    rows: list[Row] = []
    sheet: list[list[Cell]] = []
    for pair in bench.pairs(options.seed, options.points, options.pairs, options.first):
        judged, cells = protocol.judge_pair(bench, pair, options)
        rows += judged
        tables.write_run(options, rows, protocol.summarise(rows))
        if options.sheet and len(sheet) < options.sheet_rows:
            sheet.append(cells)
            options.sheet.parent.mkdir(parents=True, exist_ok=True)
            draw_sheet(sheet).save(options.sheet)
    return rows


def main(protocol: Protocol, flags: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> None:
    """Measure, or read what was measured, and print."""
    options = flags.parse_args(arguments)
    rows = tables.read_rows(options.read) if options.read else run(protocol, options)
    summary = protocol.summarise(rows)
    tables.write_run(options, rows, summary)
    tables.print_summary(protocol.title, summary)
    if against := tables.ratios(rows, protocol.compared):
        tables.print_summary(f"{protocol.title}, relative to {tables.REFERENCE_SOLVER}", against)

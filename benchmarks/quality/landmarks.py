"""Landmark protocol: drag landmarks of one face onto another's, find them again (DragGAN section 4.2, table 1).

    python -m benchmarks.quality.landmarks --points 1|5|68 --pairs N --seed S --solvers newton,draggan-official

Both faces are generated. dlib's landmarks are what is dragged, where to, and what is measured on the result; with 1 or
5 points a random choice of the 68. Columns of a row, distances in px at 512:

before_px, after_px     mean distance of the dragged landmarks to the other face's; after: null if no face is found
identity                distance of dlib's face descriptors before and after; below 0.6 it is the same person
destroyed               dlib finds no face in the result
lost                    handles lost silently: the solver says that it holds the handle, yet its position is further
                        than a tenth of the distance between the eyes (about 13 px) from where dlib finds the landmark
reported_lost           handles of which the solver itself says that it lost them
drift_px                mean distance between the tracked handles and the landmarks that dlib finds
steps, seconds, ...     see `benchmarks.quality.cost`
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks.quality import common, runner, tables
from benchmarks.quality.common import Bench, Pair, Result
from benchmarks.quality.runner import Protocol, with_each
from benchmarks.quality.sheet import HANDLE, JUDGED, TARGET, Cell
from benchmarks.quality.tables import Row

LOST_SHARE = 0.1  # of the distance between the eyes: the usual limit of failure in landmark detection


def judge(bench: Bench, pair: Pair, solver: str, result: Result) -> Row:
    """Judge one drag; see the module for the columns."""
    points = pair.points
    return {
        "solver": solver,
        "pair": pair.number,
        "seeds": [pair.first.seed, pair.second.seed],
        "landmarks": pair.chosen.tolist(),
        "before_px": bench.mean_distance(points.handles, points.targets),
        "after_px": bench.landmark_error(result.face, points.targets, pair.chosen),
        "identity": common.identity(pair.first, result.face),
        "lost": silently_lost(pair, result),
        "drift_px": bench.landmark_error(result.face, result.best.handles, pair.chosen),
        "tracked_px": result.best.mean_distance * bench.px,
        **result.row(),
    }


def silently_lost(pair: Pair, result: Result) -> int | None:
    """Count the handles that the solver takes to be where they are not; None if no face is left to judge by."""
    if result.face.found is None:
        return None
    assert pair.first.found is not None
    drift = np.linalg.norm(result.face.landmarks[pair.chosen] - result.best.handles, axis=1)
    astray = drift > LOST_SHARE * pair.first.found.eye_distance
    return int((astray & ~common.reported_lost(result.best)).sum())


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Build the table, one line per solver."""
    return [
        {
            "solver": solver,
            "pairs": len(own),
            "before mean px": tables.mean(own, "before_px"),
            "after mean px": tables.mean(own, "after_px"),
            "after median px": tables.median(own, "after_px"),
            "identity median": tables.median(own, "identity"),
            **tables.cost_columns(own),
        }
        for solver, own in tables.by_solver(rows).items()
    ]


def sheet_cells(pair: Pair, judged: dict[str, tuple[Row, Result]]) -> list[Cell]:
    """One row of the contact sheet: before, the other face, every solver's result."""
    points = pair.points
    ways = (points.handles, points.targets)
    cells = [
        Cell(pair.first.rgb, f"pair {pair.number}: before", {TARGET: points.targets, HANDLE: points.handles}, ways),
        Cell(pair.second.rgb, "the targets' face", {TARGET: points.targets}),
    ]
    for solver, (row, result) in judged.items():
        found = result.face.found
        after = "no face" if row["after_px"] is None else f"{row['before_px']:.1f} -> {row['after_px']:.1f} px"
        dots = {TARGET: points.targets, HANDLE: result.best.handles}
        if found:
            dots[JUDGED] = found.landmarks[pair.chosen]
        cells.append(Cell(result.face.rgb, f"{solver}: {after}, {row['steps']} steps", dots))
    return cells


def judge_pair(bench: Bench, pair: Pair, options: argparse.Namespace) -> tuple[list[Row], list[Cell]]:
    """Drag one pair with every solver."""

    def work(solver: str) -> tuple[Row, Result]:
        result = bench.drag(pair.first.w_plus, pair.points, solver, options.steps)
        return judge(bench, pair, solver, result), result

    judged = with_each(options.solvers, pair.number, work)
    return [row for row, _ in judged.values()], sheet_cells(pair, judged)


PROTOCOL = Protocol("Landmarks", judge_pair, summarise, ("after_px", "identity", "forward_equivalents", "seconds"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    runner.main(PROTOCOL, common.parser(__doc__), arguments)


if __name__ == "__main__":
    main()

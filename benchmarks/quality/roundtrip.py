"""Round trip: drag landmarks there and back; what is left of the face? (cyclic drag of FreeDrag, CVPR 2024)

    python -m benchmarks.quality.roundtrip --points 1|5|68 --pairs N --seed S --solvers newton,draggan-official

There: landmarks of one face to another's. Back: from where dlib finds them on the result (where a user would put the
handles; the tracked positions if no face is left) to where they were. A drag that does not move returns perfectly, so
read the columns together. Distances in px at 512:

before_px, there_px     of the dragged landmarks to the other face's, before and after the way there
back_px                 of the dragged landmarks to their start, after the way back
face_px                 the same of all 68 landmarks
pixels                  mean absolute difference to the first picture, 0..255
identity                distance of dlib's face descriptors to the first picture
destroyed, steps, ...   of both ways together; memory: the larger of the two
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks.quality import common, runner, tables
from benchmarks.quality.common import Bench, Pair, Result
from benchmarks.quality.judge import LANDMARKS
from benchmarks.quality.runner import Protocol, with_each
from benchmarks.quality.sheet import HANDLE, JUDGED, TARGET, Cell
from benchmarks.quality.tables import Row
from engine.drag import DragPoints

ADDED = ("steps", "reported_lost", "forward_equivalents", "forwards", "products", "tangents", "seconds")


def there_and_back(bench: Bench, pair: Pair, solver: str, steps: int) -> tuple[Result, Result]:
    """Drag one pair both ways."""
    there = bench.drag(pair.first.w_plus, pair.points, solver, steps)
    seen = there.face.landmarks[pair.chosen] if there.face.found else there.best.handles
    return there, bench.drag(there.face.w_plus, DragPoints(seen, pair.points.handles), solver, steps)


def judge(bench: Bench, pair: Pair, solver: str, there: Result, back: Result) -> Row:
    """Judge one round trip; see the module for the columns."""
    points, every = pair.points, np.arange(LANDMARKS)
    ways = there.row(), back.row()
    row: Row = {
        "solver": solver,
        "pair": pair.number,
        "before_px": bench.mean_distance(points.handles, points.targets),
        "there_px": bench.landmark_error(there.face, points.targets, pair.chosen),
        "back_px": bench.landmark_error(back.face, points.handles, pair.chosen),
        "face_px": bench.landmark_error(back.face, pair.first.landmarks, every),
        "pixels": common.pixel_change(pair.first.rgb, back.face.rgb),
        "identity": common.identity(pair.first, back.face),
        "destroyed": any(way["destroyed"] for way in ways),
        "reasons": [way["reason"] for way in ways],
    }
    row |= {key: round(sum(way[key] for way in ways), 3) for key in ADDED}
    peaks = [way["peak_mb"] for way in ways if way["peak_mb"] is not None]
    return row | {"peak_mb": max(peaks, default=None)}


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Build the table, one line per solver."""
    return [
        {
            "solver": solver,
            "pairs": len(own),
            "before mean px": tables.mean(own, "before_px"),
            "there mean px": tables.mean(own, "there_px"),
            "back mean px": tables.mean(own, "back_px"),
            "face mean px": tables.mean(own, "face_px"),
            "pixels mean": tables.mean(own, "pixels"),
            "identity median": tables.median(own, "identity"),
            **tables.cost_columns(own),
        }
        for solver, own in tables.by_solver(rows).items()
    ]


def judge_pair(bench: Bench, pair: Pair, options: argparse.Namespace) -> tuple[list[Row], list[Cell]]:
    """Drag one pair there and back with every solver."""
    ways = with_each(options.solvers, pair.number, lambda solver: there_and_back(bench, pair, solver, options.steps))
    rows = [judge(bench, pair, solver, *both) for solver, both in ways.items()]
    points = pair.points
    cells = [Cell(pair.first.rgb, f"pair {pair.number}: before", {TARGET: points.targets, HANDLE: points.handles})]
    for (solver, (there, back)), row in zip(ways.items(), rows, strict=True):
        for name, result, goal in (("there", there, points.targets), ("back", back, points.handles)):
            dots = {TARGET: goal, HANDLE: result.best.handles}
            if result.face.found:
                dots[JUDGED] = result.face.landmarks[pair.chosen]
            distance = row[f"{name}_px"]
            caption = "no face" if distance is None else f"{distance:.1f} px"
            cells.append(Cell(result.face.rgb, f"{solver}, {name}: {caption}", dots))
    return rows, cells


PROTOCOL = Protocol(
    "Round trip", judge_pair, summarise, ("there_px", "back_px", "face_px", "pixels", "identity", "seconds")
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    runner.main(PROTOCOL, common.parser(__doc__), arguments)


if __name__ == "__main__":
    main()

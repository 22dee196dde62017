"""How near would a tracker bring the handles that never errs? dlib's landmarks take its place.

    python -m benchmarks.quality.tracking_bound --points 1|5 --pairs N --seed S --solvers newton

After each drag the handles are put to where dlib finds the landmarks, and the same solver drags on, measured from the
picture as it was (`home`). A product could not do that: the judge says where things are. What is left then is owed to
solver, model and dlib, not to the tracker. Distances in px at 512:

before_px, after_px   mean distance of the dragged landmarks to the other face's, before, and after the first drag
round_2_px, ...       the same after the drags that went on; null if no face was left
identity              distance of dlib's face descriptors to the first picture, at the end
destroyed, steps, ... of the first drag
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.quality import common, runner, tables
from benchmarks.quality.common import Bench, Pair, Result
from benchmarks.quality.runner import Protocol, with_each
from benchmarks.quality.sheet import HANDLE, JUDGED, TARGET, Cell
from benchmarks.quality.tables import Row
from engine.drag import DragPoints

ROUNDS = 4


def drag_with_the_judge(bench: Bench, pair: Pair, solver: str, steps: int) -> list[Result]:
    """Drag one pair in several rounds, each from where the judge sees the landmarks; fewer if the face is lost."""
    results = [bench.drag(pair.first.w_plus, pair.points, solver, steps)]
    while len(results) < ROUNDS and results[-1].face.found:
        last = results[-1].face
        points = DragPoints(last.landmarks[pair.chosen], pair.points.targets)
        results.append(bench.drag(last.w_plus, points, solver, steps, home=pair.first.w_plus))
    return results


def judge(bench: Bench, pair: Pair, solver: str, results: Sequence[Result]) -> Row:
    """Judge one pair; see the module for the columns."""
    points = pair.points
    errors = [bench.landmark_error(result.face, points.targets, pair.chosen) for result in results]
    errors += [None] * (ROUNDS - len(errors))
    return {
        "solver": solver,
        "pair": pair.number,
        "before_px": bench.mean_distance(points.handles, points.targets),
        "after_px": errors[0],
        **{f"round_{number}_px": error for number, error in enumerate(errors[1:], 2)},
        "identity": common.identity(pair.first, results[-1].face),
        **results[0].row(),
    }


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Build the table, one line per solver."""
    rounds = [f"round_{number}_px" for number in range(2, ROUNDS + 1)]
    return [
        {
            "solver": solver,
            "pairs": len(own),
            "before mean px": tables.mean(own, "before_px"),
            "after mean px": tables.mean(own, "after_px"),
            **{f"{name.replace('_', ' ').removesuffix(' px')} mean px": tables.mean(own, name) for name in rounds},
            "last median px": tables.median(own, rounds[-1]),
            "identity median": tables.median(own, "identity"),
        }
        for solver, own in tables.by_solver(rows).items()
    ]


def judge_pair(bench: Bench, pair: Pair, options: argparse.Namespace) -> tuple[list[Row], list[Cell]]:
    """Drag one pair with every solver."""
    drags = with_each(options.solvers, pair.number, lambda name: drag_with_the_judge(bench, pair, name, options.steps))
    rows = [judge(bench, pair, solver, results) for solver, results in drags.items()]
    points = pair.points
    cells = [Cell(pair.first.rgb, f"pair {pair.number}: before", {TARGET: points.targets, HANDLE: points.handles})]
    for solver, results in drags.items():
        for number, result in ((1, results[0]), (len(results), results[-1])):
            dots = {TARGET: points.targets, HANDLE: result.best.handles}
            if result.face.found:
                dots[JUDGED] = result.face.landmarks[pair.chosen]
            cells.append(Cell(result.face.rgb, f"{solver}, round {number}", dots))
    return rows, cells


PROTOCOL = Protocol("Bound of tracking", judge_pair, summarise, ("after_px", f"round_{ROUNDS}_px", "identity"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    runner.main(PROTOCOL, common.parser(__doc__), arguments)


if __name__ == "__main__":
    main()

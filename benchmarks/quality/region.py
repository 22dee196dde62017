"""Region: how much moves outside the soft mask, before any compositing, at equal landing error.

    python -m benchmarks.quality.region --points N --pairs N --seed S --solvers newton,draggan-official [--free]

The region is a disc with a soft edge around a random landmark and its target; of the pair's landmarks up to N whose
handle and target lie inside are dragged. A solver that hardly moves changes little, so solvers are compared at equal
landing error: halfway. Each solver's way is cut where its tracked mean distance is half of what it was, between two
states on the straight line through their latents. Columns, distances in px at 512:

before_px               mean distance of the handles to their targets at the start
reached                 the solver came halfway; if not, the columns of the state halfway are null
half_px                 of dlib's landmarks to the targets halfway
outside, inside         mean absolute change of the pixels halfway, 0..255, weighted by 1 - mask and by the mask
outside_px              mean motion of the landmarks on which the mask is below 0.05, halfway; null if there are none
identity                distance of dlib's face descriptors, halfway
end_px, after_px        of the tracked handles and of dlib's landmarks to the targets, in the solver's best state
end_outside             change of the pixels outside in the solver's best state
destroyed               dlib finds no face in either picture

With --free every solver also drags without the mask ("SOLVER, free"): what the mask is worth.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.quality import common, runner, tables
from benchmarks.quality.common import Bench, Face, Pair, Result, choose_landmarks
from benchmarks.quality.judge import LANDMARKS
from benchmarks.quality.runner import Protocol, with_each
from benchmarks.quality.sheet import HANDLE, JUDGED, TARGET, Cell
from benchmarks.quality.tables import Row
from engine.drag import DragPoints

RADII_PX = (50.0, 100.0)  # of the disc, beyond half the way of its landmark; px at 512
FEATHER_PX = 20.0
OUTSIDE = 0.05
LEVEL = 0.5  # of the distance at the start, where solvers are compared
SHORTEST_PX = 8.0  # way of the landmark in the middle, px at 512, so that there is something to measure
FREE = ", free"


@dataclass(frozen=True)
class Region:
    """A soft disc.

    Attributes:
        centre_xy: model pixels.
        radius, feather: where the mask is one half, and how wide its edge is; model pixels.
    """

    centre_xy: NDArray[np.float64]
    radius: float
    feather: float

    def at(self, points_xy: NDArray[np.float64]) -> NDArray[np.float32]:
        """The mask at points, (..., 2) -> (...): 1 = may move."""
        distance = np.linalg.norm(points_xy - self.centre_xy, axis=-1)
        return np.clip((self.radius - distance) / self.feather + 0.5, 0, 1).astype(np.float32)

    def mask(self, resolution: int) -> NDArray[np.float32]:
        """The mask of the picture, (R, R)."""
        centres = np.arange(resolution) + 0.5
        return self.at(np.stack(np.meshgrid(centres, centres), -1))


def draw_region(pair: Pair, seed: int, points: int, pixel: float) -> tuple[Region, NDArray[np.intp]]:
    """Draw a region and the landmarks that are dragged in it.

    Args:
        pair: its faces; the middle is a random landmark that has some way to go.
        seed: of the set.
        points: at most so many landmarks.
        pixel: one pixel at 512 in model pixels.

    Returns:
        The region and indices of landmarks, at least one.
    """
    chosen = choose_landmarks(LANDMARKS - 1, seed, pair.number)
    handles, targets = (face.landmarks[chosen] for face in (pair.first, pair.second))
    ways = np.linalg.norm(targets - handles, axis=1)
    middle = int((ways >= SHORTEST_PX * pixel).argmax())
    radius = np.random.default_rng([seed, pair.number, 1]).uniform(*RADII_PX) * pixel + ways[middle] / 2
    region = Region((handles[middle] + targets[middle]) / 2, radius, FEATHER_PX * pixel)
    inside = (region.at(handles) == 1) & (region.at(targets) == 1)
    inside[middle] = False
    return region, np.concatenate([chosen[[middle]], chosen[inside]])[:points]


def halfway(bench: Bench, result: Result) -> Face | None:
    """Render the way of a solver where its tracked mean distance first comes down to the level; None if never."""
    events = result.events
    level = LEVEL * events[0].mean_distance
    number = next((i for i, event in enumerate(events) if event.mean_distance <= level), 0)
    if number == 0:
        return None
    before, after = events[number - 1], events[number]
    share = (before.mean_distance - level) / (before.mean_distance - after.mean_distance)
    return bench.render(torch.lerp(before.w_plus, after.w_plus, share))


def judge(bench: Bench, pair: Pair, region: Region, chosen: NDArray[np.intp], result: Result) -> Row:
    """Judge one drag; see the module for the columns."""
    mask = region.mask(bench.generator.resolution)
    start, goal, end = pair.first, pair.second.landmarks[chosen], result.face
    still = np.flatnonzero(region.at(start.landmarks) < OUTSIDE)
    half = halfway(bench, result)
    return {
        "pair": pair.number,
        "before_px": bench.mean_distance(start.landmarks[chosen], goal),
        "reached": half is not None,
        "half_px": half and bench.landmark_error(half, goal, chosen),
        "outside": half and common.pixel_change(start.rgb, half.rgb, 1 - mask),
        "inside": half and common.pixel_change(start.rgb, half.rgb, mask),
        "outside_px": bench.landmark_error(half, start.landmarks[still], still) if half and len(still) else None,
        "identity": half and common.identity(start, half),
        "end_px": result.best.mean_distance * bench.px,
        "after_px": bench.landmark_error(end, goal, chosen),
        "end_outside": common.pixel_change(start.rgb, end.rgb, 1 - mask),
        **result.row(),
        "destroyed": end.found is None or (half is not None and half.found is None),
    }


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Build the table, one line per solver."""
    averages = ("before_px", "half_px", "outside", "inside", "outside_px", "end_px", "after_px", "end_outside")
    return [
        {
            "solver": solver,
            "pairs": len(own),
            "reached": sum(row["reached"] for row in own),
            **{f"{key.replace('_', ' ')} mean": tables.mean(own, key) for key in averages},
            "identity median": tables.median(own, "identity"),
            **tables.cost_columns(own),
        }
        for solver, own in tables.by_solver(rows).items()
    ]


def judge_pair(bench: Bench, pair: Pair, options: argparse.Namespace) -> tuple[list[Row], list[Cell]]:
    """Drag one pair in its region with every solver."""
    region, chosen = draw_region(pair, options.seed, options.points, 1 / bench.px)
    points = DragPoints(pair.first.landmarks[chosen], pair.second.landmarks[chosen])
    mask = region.mask(bench.generator.resolution)

    def work(solver: str) -> Result:
        own_mask = None if solver.endswith(FREE) else mask
        name = solver.removesuffix(FREE)
        return bench.drag(pair.first.w_plus, points, name, options.steps, own_mask, keep_latents=True)

    variants = [solver + kind for solver in options.solvers for kind in (["", FREE] if options.free else [""])]
    results = with_each(variants, pair.number, work)
    rows = [{"solver": name, **judge(bench, pair, region, chosen, result)} for name, result in results.items()]
    shaded = (pair.first.rgb * (0.35 + 0.65 * mask[..., None])).astype(np.uint8)
    dots = {TARGET: points.targets, HANDLE: points.handles}
    cells = [Cell(shaded, f"pair {pair.number}: region", dots, (points.handles, points.targets))]
    for (name, result), row in zip(results.items(), rows, strict=True):
        dots = {TARGET: points.targets, HANDLE: result.best.handles}
        if result.face.found:
            dots[JUDGED] = result.face.landmarks[chosen]
        caption = f"{name}: end {row['end_px']:.1f} px, outside {row['end_outside']:.1f}"
        cells.append(Cell(result.face.rgb, caption, dots))
    return rows, cells


PROTOCOL = Protocol("Region", judge_pair, summarise, ("outside", "outside_px", "end_px", "after_px", "seconds"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    flags = common.parser(__doc__)
    flags.add_argument("--free", action="store_true", help="also drag without the mask")
    runner.main(PROTOCOL, flags, arguments)


if __name__ == "__main__":
    main()

"""Paired reconstruction: make one picture into another by 32 points of their optical flow (DragGAN, table 2).

    python -m benchmarks.quality.reconstruction --pairs N --seed S --solvers newton,draggan-official [--points 32]

The second picture's latent is the first's, moved part of the way to another face in the rows that drags may change;
rows of texture stay, for no drag could follow them. Points are random positions of the TV-L1 flow (scikit-image,
at 256 px, in place of OpenCV's DIS) where forward and backward flow agree. Columns, to the second picture:

before_*, after_*       mse: mean squared error x 100, pixels in 0..1
                        dssim: 1 - SSIM, mean over 512, 256 and 128 px, in place of LPIPS, whose
                        weights are not at hand
                        identity: distance of dlib's face descriptors, a network that was trained on faces
flow_px                 mean length of the points' ways, px at 512
tracked_px              mean distance of the tracked handles to their targets at the end, px at 512
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.quality import common, runner, tables
from benchmarks.quality.common import RGB, Bench, Face, Pair, Result
from benchmarks.quality.runner import Protocol, with_each
from benchmarks.quality.sheet import HANDLE, TARGET, Cell
from benchmarks.quality.tables import Row
from engine.drag import DragPoints

POINTS = 32
PERTURBATION = 0.3  # share of the way to the other face
FLOW_PX = 256
AGREEMENT = 1.0  # forward and backward flow, positions of the flow
MEASURES = ("mse", "dssim", "identity")


def perturbed(bench: Bench, pair: Pair) -> Face:
    """Render the second picture of a pair."""
    rows = bench.generator.coarse_ws
    w_plus = pair.first.w_plus.clone()
    w_plus[:, :rows] = torch.lerp(w_plus[:, :rows], pair.second.w_plus[:, :rows], PERTURBATION)
    return bench.render(w_plus)


def resized_grey(rgb: RGB, side: int) -> NDArray[np.float32]:
    """Luma of a picture at another size, (side, side) in [0, 1]."""
    grey = Image.fromarray(rgb).convert("L").resize((side, side), Image.Resampling.BOX)
    return np.asarray(grey, np.float32) / np.float32(255)


def flow_points(first: RGB, second: RGB, count: int, random: np.random.Generator) -> DragPoints:
    """Draw points of the first picture and where the flow takes them, model pixels."""
    from skimage.registration import optical_flow_tvl1

    pictures = [resized_grey(rgb, FLOW_PX) for rgb in (first, second)]
    forward, backward = (
        np.stack(optical_flow_tvl1(*ends)[::-1], -1) for ends in (pictures, pictures[::-1])
    )  # (side, side, 2), x first: what is at p in one picture is at p + flow[p] in the other
    rows, columns = np.mgrid[:FLOW_PX, :FLOW_PX]
    start = np.stack([columns, rows], -1)
    end = start + forward
    nearest = end.round().astype(int).clip(0, FLOW_PX - 1)
    difference = np.linalg.norm(forward + backward[nearest[..., 1], nearest[..., 0]], axis=-1)
    usable = (difference < AGREEMENT) & ((end >= 0) & (end <= FLOW_PX - 1)).all(-1)
    drawn = random.choice(np.flatnonzero(usable), count, replace=False)
    scale = first.shape[0] / FLOW_PX
    return DragPoints(*((ends.reshape(-1, 2)[drawn] + 0.5) * scale for ends in (start, end)))


def distances(face: Face, goal: Face) -> dict[str, float | None]:
    """How far one picture is from another, by every measure."""
    from skimage.metrics import structural_similarity

    error = float(np.square((face.rgb.astype(np.float32) - goal.rgb) / 255).mean())
    similar = [
        structural_similarity(resized_grey(face.rgb, side), resized_grey(goal.rgb, side), data_range=1.0)
        for side in (512, 256, 128)
    ]
    return {"mse": 100 * error, "dssim": 1 - float(np.mean(similar)), "identity": common.identity(face, goal)}


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Build the table, one line per solver."""
    keys = ["flow_px", "tracked_px", *(f"{when}_{name}" for name in MEASURES for when in ("before", "after"))]
    return [
        {
            "solver": solver,
            "pairs": len(own),
            **{f"{key.replace('_', ' ')} mean": tables.mean(own, key) for key in keys},
            **tables.cost_columns(own),
        }
        for solver, own in tables.by_solver(rows).items()
    ]


def judge_pair(bench: Bench, pair: Pair, options: argparse.Namespace) -> tuple[list[Row], list[Cell]]:
    """Reconstruct one picture with every solver."""
    goal = perturbed(bench, pair)
    random = np.random.default_rng([options.seed, pair.number])
    points = flow_points(pair.first.rgb, goal.rgb, options.points, random)
    before = {f"before_{name}": value for name, value in distances(pair.first, goal).items()}

    def work(solver: str) -> tuple[Row, Result]:
        result = bench.drag(pair.first.w_plus, points, solver, options.steps)
        row = {
            "solver": solver,
            "pair": pair.number,
            "flow_px": bench.mean_distance(points.handles, points.targets),
            "tracked_px": result.best.mean_distance * bench.px,
            **before,
            **{f"after_{name}": value for name, value in distances(result.face, goal).items()},
            **result.row(),
        }
        return row, result

    judged = with_each(options.solvers, pair.number, work)
    ways = (points.handles, points.targets)
    cells = [
        Cell(pair.first.rgb, f"pair {pair.number}: before, MSE {before['before_mse']:.2f}", {HANDLE: ways[0]}, ways),
        Cell(goal.rgb, "wanted", {TARGET: points.targets}),
    ]
    cells += [
        Cell(result.face.rgb, f"{solver}: MSE {row['after_mse']:.2f}", {HANDLE: result.best.handles})
        for solver, (row, result) in judged.items()
    ]
    return [row for row, _ in judged.values()], cells


PROTOCOL = Protocol(
    "Reconstruction",
    judge_pair,
    summarise,
    ("after_mse", "after_dssim", "after_identity", "forward_equivalents", "seconds"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    runner.main(PROTOCOL, common.parser(__doc__, POINTS), arguments)


if __name__ == "__main__":
    main()

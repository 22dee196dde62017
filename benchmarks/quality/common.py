"""What the judges share: command line, faces, pairs of faces, one measured drag."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.quality.cost import Meter
from benchmarks.quality.judge import LANDMARKS, Found, Judge, identity_distance
from benchmarks.quality.tables import REFERENCE_SOLVER, Row
from engine.device import pick
from engine.drag import DEFAULT_STEPS, SOLVERS, DragPoints, DragStep, drag
from engine.images import to_uint8
from engine.models import ModelStore
from stylegan2 import Generator

REFERENCE_PX = 512  # all distances are reported in pixels of a picture of this side
PSI = 0.7
SEEDS_PER_SET = 100_000  # faces of --seed S have the seeds S * 100,000 and up: no two sets share a face
SOLVER_NAMES = {REFERENCE_SOLVER: "draggan"}  # names of the judges that are not those of the engine

RGB = NDArray[np.uint8]
Points = NDArray[np.float64]


def parser(doc: str | None, points: int = 1) -> argparse.ArgumentParser:
    """Build the command line that all judges have."""
    flags = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    flags.add_argument("--points", type=int, default=points, help="landmarks or points that are dragged")
    flags.add_argument("--pairs", type=int, default=4, help="pairs of faces")
    flags.add_argument("--first", type=int, default=0, help="number of the first pair, to split a long run")
    flags.add_argument("--seed", type=int, default=1000, help="set of faces; 1000 and up are for development")
    flags.add_argument("--solvers", type=solver_list, default="draggan-official,draggan-paper")
    flags.add_argument("--steps", type=int, default=DEFAULT_STEPS, help="limit of every drag")
    flags.add_argument("--device", default="auto")
    flags.add_argument("--json", type=Path, help="write all rows and the summary")
    flags.add_argument("--sheet", type=Path, help="write a contact sheet (PNG) of the first pairs")
    flags.add_argument("--sheet-rows", type=int, default=6)
    flags.add_argument("--read", type=Path, nargs="+", help="no drags: one table of these --json files together")
    return flags


def solver_list(text: str) -> list[str]:
    """Read "newton,draggan-official"."""
    names = text.split(",")
    known = [*SOLVER_NAMES, *SOLVERS]
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"no solver called {', '.join(unknown)}; there are {', '.join(known)}")
    return names


class Face:
    """A generated face.

    Attributes:
        seed: of its noise.
        w_plus: its latent, (1, num_ws, w_dim).
        rgb: its picture, (R, R, 3).
        found: what the judge sees in it, None for no face.
    """

    def __init__(self, w_plus: Tensor, rgb: RGB, found: Found | None, seed: int = -1) -> None:
        self.w_plus, self.rgb, self.found, self.seed = w_plus, rgb, found, seed

    @property
    def landmarks(self) -> Points:
        """Landmarks of a face that was found, (68, 2), model pixels."""
        assert self.found is not None
        return self.found.landmarks


@dataclass(frozen=True)
class Pair:
    """Two faces and which landmarks of the first are dragged onto the second's.

    Attributes:
        number: of the pair in its set.
        chosen: indices of landmarks, (n,).
    """

    number: int
    first: Face
    second: Face
    chosen: NDArray[np.intp]

    @property
    def points(self) -> DragPoints:
        """The drag, model pixels."""
        return DragPoints(self.first.landmarks[self.chosen], self.second.landmarks[self.chosen])


@dataclass(frozen=True)
class Result:
    """One finished drag.

    Attributes:
        face: rendered from the best state, as `Session.result` shows it, before any compositing.
        events: all states, in order; their latents only if asked for.
        best: the state with the smallest mean distance of the tracked handles.
        meter: what it cost.
    """

    face: Face
    events: list[DragStep]
    best: DragStep
    meter: Meter

    def row(self) -> Row:
        """Return the columns that every judge shares."""
        last = self.events[-1]
        return {
            "destroyed": self.face.found is None,
            "steps": last.step,
            "reason": last.reason,
            "reported_lost": int(reported_lost(self.best).sum()),
            **self.meter.row(),
        }


class Bench:
    """The face model and the judge."""

    def __init__(self, device: str = "auto", generator: Generator | None = None) -> None:
        self.judge, self.metric = Judge(), None
        if generator is None:
            store = ModelStore()
            store.fetch("faces")
            model = store.load("faces", pick(device))
            generator, self.metric = model.generator, model.metric
        self.generator = generator
        self.px = REFERENCE_PX / self.generator.resolution  # reported pixels per model pixel

    @torch.no_grad()
    def render(self, w_plus: Tensor, seed: int = -1) -> Face:
        """Render a latent and look at it; a picture that is not finite shows no face."""
        image = self.generator.synthesis(w_plus)
        finite = bool(torch.isfinite(image).all())
        rgb = to_uint8(image.nan_to_num())
        return Face(w_plus, rgb, self.judge.find(rgb) if finite else None, seed)

    def faces(self, seed: int) -> Iterator[Face]:
        """Yield generated faces that the judge finds, all landmarks inside the picture."""
        for number in range(seed * SEEDS_PER_SET, (seed + 1) * SEEDS_PER_SET):
            face = self.render(self.generator.sample_w_plus(number, PSI), number)
            if face.found and ((face.landmarks > 0) & (face.landmarks < self.generator.resolution)).all():
                yield face

    def pairs(self, seed: int, points: int, count: int, first: int = 0) -> Iterator[Pair]:
        """Yield pairs: each takes the next two faces of the set.

        Which landmarks are dragged is drawn per pair, and one drawn for 1 point is also among those for 5.
        """
        faces = self.faces(seed)
        for number in range(first + count):
            pair = Pair(number, next(faces), next(faces), choose_landmarks(points, seed, number))
            if number >= first:
                yield pair

    def drag(
        self,
        w_plus: Tensor,
        points: DragPoints,
        solver: str,
        steps: int,
        mask: NDArray[np.float32] | None = None,
        keep_latents: bool = False,
        home: Tensor | None = None,
    ) -> Result:
        """Drag to the end, measured; rendering and judging are not part of the measurement.

        The way counts from `home`, by default from `w_plus`. Latents of states other than the best are dropped on the
        way unless they are wanted: they would count as memory of the solvers that take many steps.
        """
        name = SOLVER_NAMES.get(solver, solver)
        with Meter(self.generator) as meter:
            events: list[DragStep] = []
            best: DragStep | None = None
            metric = None if mask is None else self.metric
            more = {"solver": name, "mask": mask, "max_steps": steps, "metric": metric, "home": home}
            for event in drag(self.generator, w_plus, points, **more):
                best = event if best is None or event.mean_distance < best.mean_distance else best
                events.append(event if keep_latents else replace(event, w_plus=event.w_plus.new_empty(0)))
        assert best is not None
        if events[-1].step and not meter.passes.forwards:
            raise AssertionError(f"{name} reaches the generator past the counter: see benchmarks.quality.cost")
        return Result(self.render(best.w_plus), events, best, meter)

    def landmark_error(self, face: Face, targets: Points, chosen: NDArray[np.intp]) -> float | None:
        """Mean distance of some landmarks to where they should be, px at 512; None if there is no face."""
        return None if face.found is None else self.mean_distance(face.landmarks[chosen], targets)

    def mean_distance(self, first: Points, second: Points) -> float:
        """Mean distance between points in model pixels, px at 512."""
        return float(np.linalg.norm(first - second, axis=1).mean() * self.px)

    def warm_up(self) -> None:
        """Let everything that happens on first use happen outside the measurements."""
        w_plus = self.generator.sample_w_plus(0)
        middle = np.full((1, 2), self.generator.resolution / 2 + 0.5)
        list(drag(self.generator, w_plus, DragPoints(middle, middle + 20), solver="draggan", max_steps=1))


def choose_landmarks(points: int, seed: int, number: int) -> NDArray[np.intp]:
    """Draw which landmarks a pair drags, all 68 in their order if so many are wanted."""
    if points >= LANDMARKS:
        return np.arange(LANDMARKS)
    return np.random.default_rng([seed, number]).permutation(LANDMARKS)[:points]


def reported_lost(event: DragStep) -> NDArray[np.bool_]:
    """Which handles the solver itself says it lost, (n,): `DragStep.lost` where a solver fills it."""
    lost = getattr(event, "lost", None)
    return np.zeros(len(event.handles), bool) if lost is None else np.asarray(lost, bool)


def identity(first: Face, second: Face) -> float | None:
    """Distance of identity; None if either shows no face."""
    return None if not (first.found and second.found) else identity_distance(first.found, second.found)


def pixel_change(first: RGB, second: RGB, weight: NDArray[np.floating] | None = None) -> float:
    """Mean absolute difference over channels and pixels, 0..255, optionally weighted by (R, R)."""
    change = np.abs(first.astype(np.float32) - second).mean(-1)
    return float(np.average(change, weights=weight))

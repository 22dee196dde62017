"""How well photos are found, and what it costs: one row for each stage of each preset.

    python -m benchmarks.inversion [--photo FILE ...] [--presets fast,balanced,best] [--budget PASSES]
                                   [--sheet SHEET.png] [--json FILE]

Without --photo: scikit-image's astronaut and the generated face of --seed, whose latent is known. Columns:

psnr, ms_ssim, perceptual   against the square that the model sees, at 512 px (`benchmarks.photo_measures`)
identity                    distance of dlib's face descriptors; below 0.6 it is the same person
full_, block_passes         through the generator so far, a backward pass counting 2: through all of it, and those that
                            end at the features of a block below, which cost a part (128 px: 0.3 of the time, 256: 0.55,
                            512: 0.94)
seconds, cpu_seconds        so far, by the clock and by all threads together: other programs disturb the latter less
peak_mb                     peak memory of the process
there_px, back_px           editability: a corner of the mouth is dragged by 15 px (at 512) and back; where dlib finds
                            it, and then how far all its landmarks are from where they were
dragged_identity            of the composited result to the photo, after the way there
changed, outside            pixels of the square that differ from the photo after the way there; the same with a mask,
                            outside of it
The row `composite` is the picture that the user gets, undragged. `published` is the recipe of
`benchmarks.published_inversion` on --budget passes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from torch import Tensor

from benchmarks import published_inversion
from benchmarks.photo_measures import Perceptual, comparable, ms_ssim, peak_process_mb, psnr
from benchmarks.quality.judge import Judge, identity_distance
from benchmarks.quality.sheet import Cell, draw_sheet
from engine.align import Crop
from engine.images import Picture, load_picture, to_tensor, to_uint8
from engine.inversion import PRESETS, InversionStep, find_crop, inverting
from engine.inversion.losses import PyramidLoss, face_weight
from engine.inversion.tuned import with_deltas
from engine.models import ModelStore
from engine.session import Session
from stylegan2 import Generator

Row = dict[str, Any]
MOUTH_CORNER, PUSH_PX = 48, (-12.0, -9.0)  # landmark and way, px of a picture of 512
MASK_PX = 90  # half-width of the masked square around the handle, px of 512


class Work:
    """Context manager that counts passes through all generators of a class, views included."""

    def __init__(self, generator: Generator) -> None:
        self._kind = type(generator)
        self.full, self.partial = 0, 0
        self._inside = False

    def __enter__(self) -> Work:
        self._originals = {name: getattr(self._kind, name) for name in ("features", "uncoloured")}
        for name, original in self._originals.items():
            setattr(self._kind, name, self._counted(original, name == "uncoloured"))
        return self

    def __exit__(self, *error: object) -> None:
        for name, original in self._originals.items():
            setattr(self._kind, name, original)

    def _counted(self, original: Any, full: bool) -> Any:
        def method(generator: Generator, *arguments: Any, **named: Any) -> Any:
            if self._inside:
                return original(generator, *arguments, **named)
            self._inside = True
            try:
                output = original(generator, *arguments, **named)
            finally:
                self._inside = False
            self._add(1, full)
            features = output[0] if full else output
            if features.requires_grad:
                features.register_hook(lambda gradient: self._add(2, full))
            return output

        return method

    def _add(self, passes: int, full: bool) -> None:
        if full:
            self.full += passes
        else:
            self.partial += passes


@dataclass
class Subject:
    """One photo under test.

    Attributes:
        target: what the model sees of it, (1, 3, R, R).
        rows, cells: what was measured, and pictures of it.
    """

    name: str
    picture: Picture
    crop: Crop
    target: Tensor
    rows: list[Row] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)


class Bench:
    """The face model and the judges."""

    def __init__(self) -> None:
        self.store = ModelStore()
        self.store.fetch("faces")
        self.model = self.store.load("faces")
        self.judge = Judge()
        self.perceptual = Perceptual() if Perceptual.available() else None

    def subjects(self, photos: list[Path], seed: int) -> Iterator[Subject]:
        """Yield what is to be inverted."""
        pictures = {path.stem: load_picture(path) for path in photos}
        if not photos:
            pictures["astronaut"] = Picture(skimage.data.astronaut())
            w_plus = self.model.generator.sample_w_plus(seed)
            pictures[f"seed {seed}"] = Picture(to_uint8(self.model.generator.synthesis(w_plus)))
        for name, picture in pictures.items():
            crop, _ = find_crop(picture, self.model, self.store)
            yield Subject(name, picture, crop, to_tensor(crop.extract(picture.rgb)))

    def measure(self, subject: Subject, preset: str, stage: str, image: Tensor, cost: Row) -> None:
        """Compare a rendering, (1, 3, R, R), with the photo and add the row."""
        first, second = comparable(image), comparable(subject.target)
        row: Row = {"photo": subject.name, "preset": preset, "stage": stage}
        row |= {"psnr": psnr(first, second), "ms_ssim": ms_ssim(first, second)}
        row["perceptual"] = self.perceptual(first, second) if self.perceptual else None
        row["identity"] = self.identity(image, subject.target)
        subject.rows.append(row | cost)
        distance = "no face" if row["identity"] is None else f"{row['identity']:.2f}"
        subject.cells.append(Cell(to_uint8(image), f"{preset} {stage}: {distance}"))
        print(_line(subject.rows[-1]), flush=True)

    def identity(self, first: Tensor, second: Tensor) -> float | None:
        """Distance of identity; None if either shows no face."""
        a, b = (self.judge.find(to_uint8(image)) for image in (first, second))
        return identity_distance(a, b) if a and b else None

    def preset(self, subject: Subject, preset: str) -> None:
        """Invert with a preset and measure the end of every stage, the composite and a drag."""
        last: dict[str, tuple[InversionStep, Row]] = {}
        began = time.perf_counter(), time.process_time()
        with Work(self.model.generator) as work:
            search = inverting(subject.picture, self.model, subject.crop, preset=preset)
            while True:
                try:
                    step = next(search)
                except StopIteration as end:
                    inversion = end.value
                    break
                if step.exact and (step.stage not in last or step.loss < last[step.stage][0].loss):
                    last[step.stage] = step, _cost(work, began, step.step)
        for stage, (step, cost) in last.items():
            with torch.no_grad():
                drawn = with_deltas(self.model.generator, step.deltas).synthesis(step.w_plus)
            self.measure(subject, preset, stage, drawn, cost)
        session = Session(inversion.model(self.model), subject.picture, subject.crop, inversion.w_plus, generated=False)
        undragged = to_tensor(subject.crop.extract(session.result().rgb))
        self.measure(
            subject, preset, "composite", undragged, {"changed": _changed(session)} | self.edit(subject, session)
        )
        subject.cells.append(Cell(subject.crop.extract(session.result().rgb), f"{preset} dragged"))

    def edit(self, subject: Subject, session: Session) -> Row:
        """Drag there and back, and there once more with a mask; the session is left dragged."""
        generator, px = session.model.generator, subject.crop.resolution / 512
        with torch.no_grad():
            start = self.judge.find(to_uint8(generator.synthesis(session.w_start)))
        if start is None:
            return {}
        handle = start.landmarks[MOUTH_CORNER]
        target = handle + np.array(PUSH_PX) * px
        ends = [tuple(map(float, subject.crop.to_document(point))) for point in (handle, target)]
        list(session.drag([(ends[0], ends[1])]))
        row: Row = {"changed_by_drag": _changed(session), "dragged_identity": None}
        with torch.no_grad():
            there = self.judge.find(to_uint8(generator.synthesis(session.w_plus)))
        row["there_px"] = None if there is None else float(np.linalg.norm(there.landmarks[MOUTH_CORNER] - target) / px)
        result = to_tensor(subject.crop.extract(session.result().rgb))
        row["dragged_identity"] = self.identity(result, subject.target)
        list(session.drag([(tuple(map(float, session.handles_document()[0])), ends[0])], onward=True))
        with torch.no_grad():
            back = self.judge.find(to_uint8(generator.synthesis(session.w_plus)))
        apart = None if back is None else np.linalg.norm(back.landmarks - start.landmarks, axis=1).mean() / px
        row["back_px"] = None if apart is None else float(apart)
        mask = np.zeros(session.picture.rgb.shape[:2], np.float32)
        left, top, right, bottom = _box(subject.crop, handle, MASK_PX * px)
        mask[top:bottom, left:right] = 1
        list(session.drag([(ends[0], ends[1])], mask=mask))
        outside = (session.result().rgb != session.picture.rgb).any(2) & (mask == 0)
        return row | {"outside": int(outside.sum())}

    def published(self, subject: Subject, budget: int) -> None:
        """Run the published recipe within a budget of passes."""
        loss = PyramidLoss(subject.target, face_weight(subject.crop.resolution))
        first, second = published_inversion.shares(budget)
        began, generator = (time.perf_counter(), time.process_time()), self.model.generator
        with Work(generator) as work:
            w_plus = published_inversion.project(generator, loss, first)
            cost = _cost(work, began, first)
            tuned = published_inversion.tune(generator, w_plus, loss, second)
            whole = _cost(work, began, first + second)
        for stage, network, spent in (("projector", generator, cost), ("PTI", tuned, whole)):
            with torch.no_grad():
                self.measure(subject, "published", stage, network.synthesis(w_plus), spent)


def main() -> None:
    """Measure and print, row by row."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--photo", type=Path, action="append", default=[])
    flags.add_argument("--seed", type=int, default=2_000_001, help="of the generated face")
    flags.add_argument("--presets", default="fast,balanced,best")
    flags.add_argument("--budget", type=int, default=0, help="passes of the published recipe; 0: leave it out")
    flags.add_argument("--sheet", type=Path)
    flags.add_argument("--json", type=Path)
    options = flags.parse_args()
    if unknown := set(filter(None, options.presets.split(","))) - set(PRESETS):
        flags.error(f"no preset called {', '.join(unknown)}")
    bench, subjects = Bench(), []
    for subject in bench.subjects(options.photo, options.seed):
        subjects.append(subject)
        subject.cells.append(Cell(to_uint8(subject.target), subject.name))
        for preset in filter(None, options.presets.split(",")):
            bench.preset(subject, preset)
        if options.budget:
            bench.published(subject, options.budget)
    if options.json:
        options.json.write_text(json.dumps([row for s in subjects for row in s.rows], indent=1), encoding="utf-8")
    if options.sheet:
        draw_sheet([s.cells for s in subjects]).save(options.sheet)


def _cost(work: Work, began: tuple[float, float], steps: int) -> Row:
    return {
        "steps": steps,
        "full_passes": work.full,
        "block_passes": work.partial,
        "seconds": round(time.perf_counter() - began[0], 1),
        "cpu_seconds": round(time.process_time() - began[1], 1),
        "peak_mb": peak_process_mb(),
    }


def _changed(session: Session) -> float:
    """Share of the square's pixels that differ from the photo."""
    changed = (session.result().rgb != session.picture.rgb).any(2)
    return float(changed.sum() / session.crop.side_px**2)


def _box(crop: Crop, centre_model_xy: Any, half_px: float) -> tuple[int, int, int, int]:
    """A box of the document around a point of the model's picture."""
    x, y = crop.to_document(centre_model_xy)
    half = half_px * crop.scale
    return max(0, int(x - half)), max(0, int(y - half)), int(x + half), int(y + half)


def _line(row: Row) -> str:
    return "  ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
    )


if __name__ == "__main__":
    main()

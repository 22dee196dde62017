"""Whether drags of photos land as well as drags of generated faces, and what they cost of the person.

    python -m benchmarks.photo_drags [--photo FILE ...] [--preset balanced] [--seeds 2000001,...] [--json FILE]

Six drags of 15 px (at 512), each from the undragged picture: both corners of the mouth up and out, both brows up, the
tip of the nose aside, the chin down. Every photo (without --photo: scikit-image's astronaut) is inverted first. Every
generated face is dragged twice: from the latent it was made of, and as a photo that had to be inverted. Columns:

there_px    from where dlib finds the landmark in the rendering to its target, px of a picture of 512
identity    distance of dlib's face descriptors between the result, composited, and the picture as it was
missed      drags after which dlib finds no face; left out of the means
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch

from benchmarks.quality.judge import Judge, identity_distance
from engine.images import Picture, load_picture, to_uint8
from engine.inversion import DEFAULT_PRESET, PRESETS, drive
from engine.models import Model, ModelStore
from engine.session import Session

# Landmark of dlib's 68, and its way, px of a picture of 512.
DRAGS = {
    "left corner of the mouth": (48, (-12.0, -9.0)),
    "right corner of the mouth": (54, (12.0, -9.0)),
    "left brow": (19, (0.0, -15.0)),
    "right brow": (24, (0.0, -15.0)),
    "tip of the nose": (30, (15.0, 0.0)),
    "chin": (8, (0.0, 15.0)),
}

MEANS = ("there_px", "identity")

Row = dict[str, Any]


def measure(session: Session, judge: Judge) -> Iterator[Row]:
    """Yield a row for each drag of a picture; none where dlib sees no face in its rendering."""
    px = session.crop.resolution / 512
    photo = judge.find(session.crop.extract(session.picture.rgb))
    start = judge.find(_rendering(session))
    if photo is None or start is None:
        return
    for name, (landmark, way) in DRAGS.items():
        handle = start.landmarks[landmark]
        target = handle + np.array(way) * px
        ends = [tuple(map(float, session.crop.to_document(point))) for point in (handle, target)]
        list(session.drag([(ends[0], ends[1])]))
        drawn = judge.find(_rendering(session))
        result = judge.find(session.crop.extract(session.result().rgb))
        row: Row = {"drag": name, "there_px": None, "identity": None}
        if drawn is not None and result is not None:
            row["there_px"] = float(np.linalg.norm(drawn.landmarks[landmark] - target) / px)
            row["identity"] = identity_distance(result, photo)
        session.edits.reset()
        yield row


def _rendering(session: Session) -> np.ndarray:
    with torch.no_grad():
        return to_uint8(session.model.generator.synthesis(session.w_plus))


def _sessions(
    model: Model, store: ModelStore, photos: list[Path], seeds: list[int], preset: str
) -> Iterator[tuple[str, Session]]:
    pictures = {path.stem: load_picture(path) for path in photos} or {"astronaut": Picture(skimage.data.astronaut())}
    made = {f"seed {seed}": Session.from_seed(model, seed) for seed in seeds}
    yield from made.items()
    for name, picture in [*pictures.items(), *((name, session.picture) for name, session in made.items())]:
        yield f"{name}, {preset}", drive(Session.opening(model, picture, store, preset=preset))


def main() -> None:
    """Measure and print, picture by picture."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--photo", type=Path, action="append", default=[])
    flags.add_argument("--preset", default=DEFAULT_PRESET, choices=PRESETS)
    flags.add_argument("--seeds", default="2000001", help="of generated faces, with commas")
    flags.add_argument("--json", type=Path)
    options = flags.parse_args()
    store, judge, rows = ModelStore(), Judge(), []
    store.fetch("faces")
    seeds = [int(seed) for seed in options.seeds.split(",") if seed]
    for name, session in _sessions(store.load("faces"), store, options.photo, seeds, options.preset):
        found = [row | {"picture": name} for row in measure(session, judge)]
        rows += found
        for row in found:
            print(row, flush=True)
        landed = [row for row in found if row["there_px"] is not None]
        means = [float(np.mean([row[key] for row in landed])) if landed else float("nan") for key in MEANS]
        print(f"{name}: {means[0]:.2f} px, identity {means[1]:.3f}, missed {len(found) - len(landed)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

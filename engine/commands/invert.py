"""`krita-drag invert`: find a photo in a model and write what the model makes of it."""

from __future__ import annotations

import argparse
import platform
from typing import Any

import torch

from engine import __version__
from engine.arguments import DEFAULT_PRESET, STOPPED
from engine.commands.common import describe, open_model, save_text, say_notes
from engine.commands.searching import Found, search
from engine.images import Picture, load_picture, save_picture, to_uint8
from engine.models import ModelStore
from engine.outputs import PICTURES, check_distinct, check_file, to_json
from engine.progress import Progress
from engine.session_file import SUFFIX, save_session


def run(options: argparse.Namespace) -> int:
    """Invert and write the outputs; returns 0, or 130 when Ctrl-C cut the search short (the outputs are written)."""
    store = ModelStore()
    progress = Progress(options.quiet)
    _check_outputs(options)
    info = describe(store, options.model)
    picture = load_picture(options.photo)
    model = open_model(store, info, options.device, progress, find_face=not options.crop)
    options.preset = options.preset or DEFAULT_PRESET
    found = search(options, picture, model, store, progress)
    inversion, session = found.inversion, found.session
    try:
        if options.session:
            save_session(session, options.session)
    finally:  # what is asked for most is written whatever becomes of the rest
        with torch.no_grad():
            generator = session.model.generator
            drawn = to_uint8(generator.trim(generator.synthesis(inversion.w_plus)))
        save_picture(options.output, Picture(drawn, icc_profile=picture.icc_profile))
    if options.aligned:
        crop = session.crop
        seen = crop.extract(picture.rgb)[:, crop.margin : crop.resolution - crop.margin]
        save_picture(options.aligned, Picture(seen, icc_profile=picture.icc_profile))
    if options.json:
        save_text(options.json, to_json(_as_dict(options, found)))
    say_notes(session.notes, progress)
    stopped = ", stopped" if found.stopped else ""
    print(
        f"loss {inversion.loss:.3f} after {inversion.steps} steps ({inversion.seconds:.1f} s{stopped})\n"
        f"wrote {options.output}"
    )
    return STOPPED if found.stopped else 0


def _check_outputs(options: argparse.Namespace) -> None:
    pictures = [path for path in (options.output, options.aligned) if path]
    for path in pictures:
        check_file(path, PICTURES)
    others = [(options.json, ".json"), (options.session, SUFFIX)]
    for path, suffix in others:
        if path:
            check_file(path, (suffix,))
    check_distinct([options.photo, *pictures, *(path for path, _ in others if path)])


def _as_dict(options: argparse.Namespace, found: Found) -> dict[str, Any]:
    """Describe the inversion for programs; the crop in pixels of the photo."""
    inversion, crop = found.inversion, found.inversion.crop
    return {
        "model": options.model,
        "source": {"photo": options.photo.name},
        "preset": options.preset,
        "tuned_weights": sum(delta.numel() for delta in inversion.deltas.values()),
        "loss": float(inversion.loss),
        "steps": inversion.steps,
        "stopped": found.stopped,
        "seconds": inversion.seconds,
        "crop": {
            "origin": [float(value) for value in crop.origin_xy],
            "right": [float(value) for value in crop.right_xy],
            "down": [float(value) for value in crop.down_xy],
        },
        "notes": found.session.notes,
        "versions": {"krita-drag": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "device": str(inversion.w_plus.device),
    }

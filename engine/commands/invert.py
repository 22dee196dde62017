"""`krita-drag invert`: find a photo in a model and write what the model makes of it."""

from __future__ import annotations

import argparse
import platform
from typing import Any

import torch

from engine import __version__
from engine.arguments import STOPPED
from engine.commands.common import by_hand, describe, inversion_progress, open_model, save_text, say_notes
from engine.images import Picture, load_picture, save_picture, to_uint8
from engine.inversion import Inversion, find_crop, find_preset, invert
from engine.models import ModelStore
from engine.outputs import PICTURES, check_distinct, check_file, to_json
from engine.progress import Progress, stop_on_interrupt
from engine.session import Session
from engine.session_file import SUFFIX, save_session


def run(options: argparse.Namespace) -> int:
    """Invert and write the outputs; returns 0, or 130 when Ctrl-C cut the search short (the outputs are written)."""
    store = ModelStore()
    progress = Progress(options.quiet)
    _check_outputs(options)
    info = describe(store, options.model)
    picture = load_picture(options.photo)
    model = open_model(store, info, options.device, progress, find_face=not options.crop)
    placed = by_hand(options, model)
    crop, crop_notes = (placed, ()) if placed else find_crop(picture, model, store)
    say_notes([*picture.notes, *crop_notes], progress)  # before the wait: "no face found" may be reason to stop it
    preset, steps = options.preset, options.inversion_steps
    total = find_preset(preset, steps).steps
    with stop_on_interrupt(progress) as stop, inversion_progress(progress, total, stop) as on_step:
        inversion = invert(picture, model, crop, preset=preset, steps=steps, on_step=on_step)
    notes = [*picture.notes, *crop_notes, *inversion.notes]
    try:
        if options.session:
            session = Session(inversion.model(model), picture, crop, inversion.w_plus, generated=False, notes=notes)
            save_session(session, options.session)
    finally:  # what is asked for most is written whatever becomes of the rest
        with torch.no_grad():
            generator = inversion.model(model).generator
            drawn = to_uint8(generator.trim(generator.synthesis(inversion.w_plus)))
        save_picture(options.output, Picture(drawn, icc_profile=picture.icc_profile))
    if options.aligned:
        seen = crop.extract(picture.rgb)[:, crop.margin : crop.resolution - crop.margin]
        save_picture(options.aligned, Picture(seen, icc_profile=picture.icc_profile))
    if options.json:
        save_text(options.json, to_json(_as_dict(options, inversion, notes, stop.wanted)))
    say_notes(inversion.notes, progress)
    stopped = ", stopped" if stop.wanted else ""
    print(
        f"loss {inversion.loss:.3f} after {inversion.steps} steps ({inversion.seconds:.1f} s{stopped})\n"
        f"wrote {options.output}"
    )
    return STOPPED if stop.wanted else 0


def _check_outputs(options: argparse.Namespace) -> None:
    pictures = [path for path in (options.output, options.aligned) if path]
    for path in pictures:
        check_file(path, PICTURES)
    others = [(options.json, ".json"), (options.session, SUFFIX)]
    for path, suffix in others:
        if path:
            check_file(path, (suffix,))
    check_distinct([options.photo, *pictures, *(path for path, _ in others if path)])


def _as_dict(options: argparse.Namespace, inversion: Inversion, notes: list[str], stopped: bool) -> dict[str, Any]:
    """Describe the inversion for programs; the crop in pixels of the photo."""
    crop = inversion.crop
    return {
        "model": options.model,
        "source": {"photo": options.photo.name},
        "preset": options.preset,
        "tuned_weights": sum(delta.numel() for delta in inversion.deltas.values()),
        "loss": float(inversion.loss),
        "steps": inversion.steps,
        "stopped": stopped,
        "seconds": inversion.seconds,
        "crop": {
            "origin": [float(value) for value in crop.origin_xy],
            "right": [float(value) for value in crop.right_xy],
            "down": [float(value) for value in crop.down_xy],
        },
        "notes": notes,
        "versions": {"krita-drag": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "device": str(inversion.w_plus.device),
    }

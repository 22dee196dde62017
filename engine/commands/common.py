"""What several commands do: open a model, fetching it when needed, and write text files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from krita_drag.wire.errors import BadOption, ModelCorrupt, ModelNotFound

from engine.arguments import DEFAULT_PRESET, DEFAULT_PSI
from engine.catalogue import CATALOGUE, DETECTOR
from engine.device import pick
from engine.images import atomic_output
from engine.models import Model, ModelInfo, ModelStore
from engine.progress import Progress, StopRequest, duration

if TYPE_CHECKING:
    from engine.align import Crop
    from engine.inversion import InversionStep  # slow to load, and `models` does without


def describe(store: ModelStore, name: str) -> ModelInfo:
    """Look a model up among those installed and those that can be fetched.

    Raises:
        ModelNotFound: it is neither.
    """
    for info in [*store.installed(), *store.catalogue()]:
        if info.name == name:
            return info
    raise ModelNotFound(
        f"There is no model named “{name}”.",
        "See `krita-drag models list`, or add a file with `krita-drag models add`.",
    )


def check_source(options: argparse.Namespace) -> None:
    """Refuse options of `drag` that say nothing about the picture that is dragged, and fill in the others.

    Raises:
        BadOption: one goes with a photo only, or with a seed only.
    """
    if options.photo:
        wrong, why = {"--class": options.class_index, "--psi": options.psi}, "goes with --seed: a photo is what it is"
    else:
        wrong = {"--crop": options.crop, "--preset": options.preset, "--inversion-steps": options.inversion_steps}
        why = "goes with a photo: the picture of a seed need not be looked for"
    for name, value in wrong.items():
        if value is not None:
            raise BadOption(f"{name} {why}.", f"Leave {name} out.")
    options.preset = options.preset or DEFAULT_PRESET
    options.psi = DEFAULT_PSI if options.psi is None else options.psi


def announce_licence(info: ModelInfo) -> None:
    """Say under which terms a model comes, on standard error, even when quiet: it must be seen once."""
    print(f"{info.name}: {info.title}. Licence: {info.licence}.\n{info.licence_note}", file=sys.stderr, flush=True)


def fetch(store: ModelStore, info: ModelInfo, progress: Progress) -> Path:
    """Bring a model onto this machine, its licence note first; at once when it is here and intact.

    Raises:
        NetworkBlocked, HashMismatch, NoDiskSpace, PermissionDenied: it did not come.
    """
    if not is_intact(store, info.name):
        announce_licence(info)
    with progress.download() as on_progress:
        return store.fetch(info.name, on_progress)


def is_intact(store: ModelStore, name: str) -> bool:
    """Return whether a model is on this machine, unchanged since it was installed."""
    try:
        store.verify(name)
    except (ModelNotFound, ModelCorrupt):
        return False
    return True


def open_model(store: ModelStore, info: ModelInfo, device: str, progress: Progress, find_face: bool = False) -> Model:
    """Load a model, fetching what is not here.

    Args:
        store: where models are kept.
        info: the model.
        device: name of the device, or "auto".
        progress: where downloads are shown.
        find_face: whether a face will have to be found first, where the model knows such.

    Raises:
        KritaDragError: it cannot be fetched or loaded, or the device is not there.
    """
    place = pick(device)
    if info.name in CATALOGUE or info.name not in {model.name for model in store.installed()}:
        fetch(store, info, progress)
    if find_face and info.aligned:
        fetch(store, CATALOGUE[DETECTOR].info, progress)
    return store.load(info.name, place)


def by_hand(options: argparse.Namespace, model: Model) -> Crop | None:
    """Return the square that `--crop` places; None where it is to be found.

    Raises:
        BadOption: its corners are not those of a square.
    """
    from engine.inversion import crop_from_corners  # slow to load, and `models` does without

    generator = model.generator
    return crop_from_corners(options.crop, generator.resolution, generator.margin) if options.crop else None


def save_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, all or nothing.

    Raises:
        BadOutput: it cannot be written.
    """
    with atomic_output(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def inversion_progress(
    progress: Progress, total: int, stop: StopRequest | None = None
) -> Iterator[Callable[[InversionStep], bool]]:
    """Give an `on_step` for inversions that shows a bar with the loss, and ends the search when `stop` is wanted.

    Args:
        progress: where the bar is shown.
        total: steps foreseen; corrected when the first step says otherwise.
        stop: looked at after every step.
    """
    with progress.steps("looking for the photo in the model", total) as bar:

        def on_step(step: InversionStep) -> bool:
            if step.step == 1:
                progress.say(f"Looking for the photo in the model takes {duration(step.seconds_left)} here.")
            bar.total = step.total
            left = duration(step.seconds_left)
            bar.set_postfix_str(f"{step.stage} loss {step.loss:.3f}, {left} left", refresh=False)
            bar.update(step.step - bar.n)
            return stop is None or not stop.wanted

        yield on_step


def say_notes(notes: Iterable[str], progress: Progress) -> None:
    """Tell what the user may want to know about the result; each of it once."""
    for note in notes:
        progress.note(note)

"""What `--json` tells of a drag, here or by an engine elsewhere; docs/drag-json.md."""

from __future__ import annotations

import argparse
import math
import platform
from collections.abc import Sequence
from typing import Any

import torch

from engine import __version__
from engine.commands.outcome import Outcome
from engine.points import Pull

Numbers = Sequence[float]


def describe_outcome(outcome: Outcome) -> dict[str, Any]:
    """Describe a drag in this process."""
    session, found, best = outcome.session, outcome.found, outcome.session.best()
    steps, shown = _steps(outcome), len(outcome.way()) - 1
    search = None
    if found is not None:
        search = describe_search(outcome.options, found.inversion.steps, found.inversion.loss, found.stopped)
    return {
        "model": {"name": session.model.info.name, "resolution": session.model.info.resolution},
        "source": outcome.source,
        "search": search,
        **describe_task(outcome.options, session.crop.corners.tolist()),
        "points": describe_points(
            outcome.pulls,
            outcome.tracked.tolist(),
            None if best is None or best.confidence is None else best.confidence.tolist(),
            None if best is None or best.lost is None else best.lost.tolist(),
        ),
        "start_mean_distance": steps[0]["mean_distance"] if steps else None,
        "end_mean_distance": steps[shown]["mean_distance"] if steps else None,
        "steps": steps[-1]["step"] if steps else 0,
        "shown_step": steps[shown]["step"] if steps else 0,
        "reason": _reason(outcome),
        "history": steps,
        "seconds": outcome.seconds,
        "notes": outcome.notes,
        "versions": {"krita-drag": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "device": str(session.w_plus.device),
    }


def describe_source(options: argparse.Namespace) -> dict[str, Any]:
    """Where a picture comes from."""
    if options.photo:
        return {"photo": options.photo.name}
    chosen = {} if options.class_index is None else {"class": options.class_index}
    return {"seed": options.seed, "psi": options.psi, **chosen}


def describe_search(options: argparse.Namespace, steps: int, loss: float | None, stopped: bool) -> dict[str, Any]:
    """How the photo was looked for in the model."""
    return {"preset": options.preset, "steps": steps, "loss": loss, "stopped": stopped}


def describe_task(options: argparse.Namespace, corners: Sequence[Numbers]) -> dict[str, Any]:
    """What was to be done, besides the points; corners of the square that the model sees, clockwise."""
    return {
        "crop": [list(corner) for corner in corners],
        "solver": options.solver,
        "stay_close": options.reach,
        "mask": options.mask.name if options.mask else None,
        "unit": "pixels of the picture",
    }


def describe_points(
    pulls: Sequence[Pull], tracked: Sequence[Numbers], confidence: Numbers | None, lost: Sequence[bool] | None
) -> list[dict[str, Any]]:
    """What was pulled, and where it is in the picture that is written; without confidence nothing is known of that."""
    return [
        {
            "handle": list(pull.pair[0]),
            "target": list(pull.pair[1]),
            "weight": pull.weight,
            "tracked": list(tracked[i]),
            "distance": math.dist(tracked[i], pull.pair[1]),
            "confidence": confidence[i] if confidence else None,
            "lost": lost[i] if lost else None,
        }
        for i, pull in enumerate(pulls[: len(tracked)])
    ]


def describe_step(
    number: int,
    loss: float | None,
    pulls: Sequence[Pull],
    handles: Sequence[Numbers],
    confidence: Numbers | None,
    lost: Sequence[bool] | None,
) -> dict[str, Any]:
    """One step of a drag."""
    distances = [math.dist(handle, pull.pair[1]) for handle, pull in zip(handles, pulls, strict=True)]
    return {
        "step": number,
        "loss": loss,
        "mean_distance": sum(distances) / len(distances),
        "distances": distances,
        "handles": [list(handle) for handle in handles],
        "confidence": list(confidence) if confidence else None,
        "lost": list(lost) if lost else None,
    }


def start_distance(pulls: Sequence[Pull]) -> float:
    """The mean distance before the first step."""
    return sum(math.dist(*pull.pair) for pull in pulls) / len(pulls)


def _steps(outcome: Outcome) -> list[dict[str, Any]]:
    return [
        describe_step(
            step.step,
            float(step.loss),
            outcome.pulls,
            outcome.session.crop.to_document(step.handles).tolist(),
            None if step.confidence is None else step.confidence.tolist(),
            None if step.lost is None else step.lost.tolist(),
        )
        for step in outcome.history
    ]


def _reason(outcome: Outcome) -> str:
    if outcome.stopped:
        return "stopped"
    return outcome.history[-1].reason if outcome.history else "no steps"

"""What an engine in another process tells of a drag, and the JSON that is made of it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any

from krita_drag.wire.messages import AskStatus, Cancelled, Done, ListModels, Progress, new_id

from engine import __version__
from engine.commands.drag_json import (
    describe_points,
    describe_search,
    describe_source,
    describe_step,
    describe_task,
    start_distance,
)
from engine.points import Pull
from engine.remote import RemoteEngine

_SEARCHING = ("projecting", "tuning")


@dataclass
class Course:
    """What the engine tells on the way.

    Attributes:
        pulls: what is dragged.
        history: its steps, as far as they are told, for programs.
        seconds: time of each part.
        search_loss: of the search for the photo, at its latest step.
        found: what ended that search; None where there is none.
        corners: of the square that the model sees, document pixels.
    """

    pulls: list[Pull]
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    search_loss: float | None = None
    found: Done | Cancelled | None = None
    corners: tuple[tuple[float, ...], ...] = ()

    def note(self, event: Progress) -> None:
        """Keep a step."""
        if event.phase == "dragging" and event.handles:
            step = describe_step(event.step, event.loss, self.pulls, event.handles, event.confidence, event.lost)
            self.history.append(step)
        elif event.phase in _SEARCHING and event.loss is not None:
            self.search_loss = event.loss


@dataclass(frozen=True)
class Machine:
    """Where it was dragged, as far as that is known.

    Attributes:
        resolution: side of the model's picture, model pixels.
        device: what computed.
    """

    resolution: int | None = None
    device: str | None = None


def ask_machine(engine: RemoteEngine, model: str) -> Machine:
    """Ask where it was dragged."""
    models = engine.ask(ListModels(new_id())).models
    status = engine.ask(AskStatus(new_id())).status
    resolution = next((entry.resolution for entry in models if entry.name == model), None)
    return Machine(resolution, ", ".join(device.name for device in status.devices) or None)


def describe(
    options: argparse.Namespace, course: Course, machine: Machine, end: Done | Cancelled | None, notes: list[str]
) -> dict[str, Any]:
    """Describe the drag for programs, as `describe_outcome` does."""
    found, search = course.found, None
    if found is not None:
        search = describe_search(options, found.step, course.search_loss, isinstance(found, Cancelled))
    return {
        "model": {"name": options.model, "resolution": machine.resolution},
        "source": describe_source(options),
        "search": search,
        **describe_task(options, course.corners),
        "points": [] if end is None else describe_points(options.pulls, end.handles, end.confidence, end.lost),
        "start_mean_distance": start_distance(options.pulls) if end is not None else None,
        "end_mean_distance": end.distance_px if end is not None else None,
        "steps": end.step if end is not None else 0,
        "reason": "no steps" if end is None else end.reason if isinstance(end, Done) else "stopped",
        "history": course.history,
        "seconds": course.seconds,
        "notes": notes,
        "versions": {"krita-drag": __version__},
        "device": machine.device,
        "server": options.server,
    }

"""A request that runs in the worker."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from krita_drag.wire.messages import Request

from engine.service.reports import Report, Steps

CHECKPOINT_EVERY_S = 0.5


@dataclass
class Job:
    """A request that runs.

    Attributes:
        message: the request.
        steps: what it does; None before its first step.
        seq: number of its latest event.
        report: what it told last.
        idle: whether it waits for its client to move.
        unseen: whether there is no preview of its latest state.
        preview_due: whether a preview is drawn at its next turn.
        preview_at: when the next preview may be drawn, monotonic seconds.
        keep_at: when it is to be written to the disk next, monotonic seconds.
        step_ms: duration of its latest step.
        made_room: whether idle things were put away for it already.
    """

    message: Request
    steps: Steps | None = None
    seq: int = 0
    report: Report = field(default_factory=lambda: Report("queued"))
    idle: bool = False
    unseen: bool = False
    preview_due: bool = False
    preview_at: float = 0.0
    keep_at: float = field(default_factory=lambda: time.monotonic() + CHECKPOINT_EVERY_S)
    step_ms: float = 0.0
    made_room: bool = False

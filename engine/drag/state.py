"""What goes into a drag and what comes out of it after every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class DragPoints:
    """Pairs of points in model pixels.

    Attributes:
        handles: where the pulled points are, (n, 2), x first.
        targets: where they shall go, (n, 2); a handle that is its own target is an anchor, held where it is.
        weights: how hard each one pulls compared with the others, (n,), above 0; None for all alike.
    """

    handles: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.handles.ndim != 2 or self.handles.shape != self.targets.shape or self.handles.shape[1] != 2:
            raise ValueError(f"points must be (n, 2), not {self.handles.shape} and {self.targets.shape}")
        if self.weights is not None and (self.weights.shape != (len(self.handles),) or not (self.weights > 0).all()):
            raise ValueError(f"there must be one weight above 0 for each point, not {self.weights}")

    def __len__(self) -> int:
        return len(self.handles)


@dataclass(frozen=True)
class DragStep:
    """State of a drag after `step` steps; step 0 is the start.

    Attributes:
        step: number of changes made to the latent so far.
        loss: value of the solver's objective in this state.
        handles: tracked handles, (n, 2), model pixels.
        distances: from each handle to its target, (n,), model pixels.
        w_plus: latent in which the handles were tracked, (1, num_ws, w_dim).
        reason: why the drag ends here: "landed", "stalled" (no progress any more), "steps" (all used up),
            "diverged"; within `engine.drag` also "failing" (predictions do not hold). Empty while it goes on.
        confidence: how surely each handle is within 10 px at 512 of where it is said to be, (n,) in [0, 1]; None
            from trackers that cannot tell.
        lost: handles whose place is doubtful, which the user is told, (n,) bool; None as above.
        solver: name of the solver that made this state.
    """

    step: int
    loss: float
    handles: np.ndarray
    distances: np.ndarray
    w_plus: Tensor
    reason: str = ""
    confidence: np.ndarray | None = None
    lost: np.ndarray | None = None
    solver: str = ""

    def to_json(self) -> dict[str, Any]:
        """All but the latent, as JSON can hold it."""
        arrays = {name: getattr(self, name) for name in ("handles", "distances", "confidence", "lost")}
        plain = {name: None if array is None else array.tolist() for name, array in arrays.items()}
        return {"step": self.step, "loss": float(self.loss), "reason": self.reason, "solver": self.solver, **plain}

    @classmethod
    def from_json(cls, told: Mapping[str, Any], w_plus: Tensor) -> DragStep:
        """Return the step of which `to_json` told, with its latent.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        handles, distances = (np.array(told[name], np.float64) for name in ("handles", "distances"))
        if handles.ndim != 2 or handles.shape != (len(distances), 2) or not np.isfinite(handles).all():
            raise ValueError("the points of a state are damaged")
        confidence = None if told["confidence"] is None else np.array(told["confidence"], np.float64)
        lost = None if told["lost"] is None else np.array(told["lost"], bool)
        numbers, solver = (int(told["step"]), float(told["loss"])), str(told.get("solver", ""))
        return cls(*numbers, handles, distances, w_plus, str(told["reason"]), confidence, lost, solver)

    @property
    def mean_distance(self) -> float:
        """Mean of `distances`, model pixels."""
        return float(self.distances.mean())

    @property
    def done(self) -> bool:
        """Whether this is the last event."""
        return bool(self.reason)

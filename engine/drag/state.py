"""What goes into a drag and what comes out of it after every step."""

from __future__ import annotations

from dataclasses import dataclass

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

    @property
    def mean_distance(self) -> float:
        """Mean of `distances`, model pixels."""
        return float(self.distances.mean())

    @property
    def done(self) -> bool:
        """Whether this is the last event."""
        return bool(self.reason)

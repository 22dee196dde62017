"""The derivative of tracked handles by the latent, kept true at the least cost.

Rows of the derivative cost backward passes, steps show for nothing how handles really moved. So only what is old, or
broke its promise, is computed anew; everything else is corrected. See docs/solver.md, "Correction".
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# Handles (n,) bool, and k unit vectors for each of the m that are meant, (m, k, 2): derivative of their positions
# along these by D numbers of the latent, (m, k, D).
Slopes = Callable[[Tensor, Tensor], Tensor]


class HandleDerivative:
    """Derivative of the positions of n handles by D numbers of the latent.

    Args:
        slopes: computes it at the latent of now.
        like: tensor of the handles' positions, (n, 2), whose type and device are used.
        size: D.
        together: whether all are computed anew, along both coordinates, when one is due.

    Attributes:
        rows: (2n, D), x before y of each handle.
        travelled_px: how far each handle went since its rows were computed, (n,), px at 512; 0: they are of now,
            inf: there are none, or they are not to be trusted.
    """

    def __init__(self, slopes: Slopes, like: Tensor, size: int, *, together: bool = False) -> None:
        self._slopes, self._together = slopes, together
        self.rows = like.new_zeros(2 * len(like), size)
        self.travelled_px = torch.full_like(like[:, 0], torch.inf)
        self._known = torch.zeros_like(like[:, 0], dtype=torch.bool)

    def predict(self, step: Tensor) -> Tensor:
        """Predict how the handles move with a step, (D,) -> (n, 2)."""
        return (self.rows @ step).view(-1, 2)

    def renew(self, which: Tensor, pulls: Tensor) -> None:
        """Compute the rows of some handles, (n,) bool: the first time both, later only what counts, along their pulls.

        Across the pulls, (n, 2), the corrected rows hold on.
        """
        which = torch.ones_like(which) if self._together else which
        by_handle = self.rows.view(len(which), 2, -1).clone()  # (n, 2, D)
        new = which if self._together else which & ~self._known
        if new.any():
            by_handle[new] = self._slopes(new, torch.eye(2).to(pulls).expand(int(new.sum()), 2, 2))
        if (old := which & ~new).any():
            along = F.normalize(pulls[old], dim=1)[:, None]  # (m, 1, 2)
            by_handle[old] += along.mT @ (self._slopes(old, along) - along @ by_handle[old])
        self.rows, self._known = by_handle.flatten(0, 1), self._known | which
        self.travelled_px = self.travelled_px.masked_fill(which, 0.0)

    def correct(self, step: Tensor, moved: Tensor, way_px: Tensor) -> None:
        """Learn from a step, (D,), how the handles moved with it, (n, 2), which was so far, (n,).

        The smallest change of the rows that explains it (Broyden 1965).
        """
        surprise = (moved - self.predict(step)).flatten()
        self.rows = self.rows + surprise[:, None] * step / step.square().sum().clamp(min=1e-12)
        self.travelled_px = self.travelled_px + (way_px.max() if self._together else way_px)

    def distrust(self, which: Tensor) -> None:
        """Some handles, (n,) bool, went so far astray that a correction would not mend it."""
        self.travelled_px = self.travelled_px.masked_fill(which, torch.inf)

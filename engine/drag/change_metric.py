"""What a model's pictures lose by a step of the latent, on average over its own samples.

The prior of W calls those directions cheap in which samples vary most, and these change a picture most: the whole head,
the light, the person. Averaged over samples, the change of features that no local translation explains tells what each
direction of the latent costs. It is learned once per model (`engine.drag.metric_learning`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.tensor_files import save_tensors
from stylegan2 import Generator

METRIC_FILE = "metric.safetensors"  # beside the weights
BROUGHT = Path(__file__).parent  # for the built-in model it is part of this package
PRIOR_SHARE = 0.1  # of the prior in the metric, against the change of features


@dataclass(frozen=True)
class ChangeMetric:
    """The mean of `J^T J` for the rows of the latent that a drag moves; D = rows * w_dim, whitened.

    Attributes:
        changes: orthogonal directions that change features most, (k, D), unit length.
        strengths: squared change of features along each of them, (k,), descending.
    """

    changes: Tensor
    strengths: Tensor

    def divided(self, directions: Tensor) -> Tensor:
        """Directions (m, D) times the inverse of the metric, in which what changes much is long."""
        share = self.strengths / (self.strengths + PRIOR_SHARE)
        return (directions - (directions @ self.changes.T * share) @ self.changes) / PRIOR_SHARE

    def save(self, path: Path) -> None:
        """Write all or nothing, directions in half precision.

        Raises:
            OSError: the file cannot be written.
        """
        save_tensors({"changes": self.changes.half(), "strengths": self.strengths.float()}, path)

    @classmethod
    def of(cls, folder: Path, name: str, generator: Generator) -> ChangeMetric | None:
        """What is known of an installed model: learned by `models prepare`, or brought along by this package."""
        return cls.load(folder / METRIC_FILE, generator) or cls.load(BROUGHT / f"{name}.{METRIC_FILE}", generator)

    @classmethod
    def load(cls, path: Path, generator: Generator) -> ChangeMetric | None:
        """Load what was learned of a model; None where nothing was, or of another model."""
        try:
            tensors = load_file(path)
            metric = cls(**{name: tensor.to(generator.w_mean) for name, tensor in tensors.items()})
        except (OSError, SafetensorError, TypeError):
            return None
        length = generator.coarse_ws * generator.w_dim
        fits = metric.changes.shape == (len(metric.strengths), length) and metric.strengths.ndim == 1
        return metric if fits and all(bool(tensor.isfinite().all()) for tensor in vars(metric).values()) else None

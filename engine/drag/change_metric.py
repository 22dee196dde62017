"""What a model's pictures lose by a step of the latent, on average over its own samples, and where they lose it.

The prior of W calls those directions cheap in which samples vary most, and these change a picture most: the whole head,
the light, the person. Averaged over samples, the change of features that no local translation explains tells what each
direction of the latent costs in each part of the picture. It is learned once per model (`engine.drag.metric_learning`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.tensor_files import save_tensors
from stylegan2 import Generator

METRIC_FILE = "metric.safetensors"  # beside the weights
BROUGHT = Path(__file__).parent  # for the built-in model it is part of this package
CELLS = 8  # along a side of the picture
PRIOR_SHARE = 0.1  # of the prior in the metric, against the change of features


@dataclass(frozen=True)
class Metric:
    """What steps of the whitened latent cost: the prior's share, and more along some directions; D = rows * w_dim.

    Attributes:
        directions: orthogonal, (k, D), unit length.
        strengths: what a unit of each costs beyond the prior's share, (k,).
    """

    directions: Tensor
    strengths: Tensor

    def divided(self, vectors: Tensor) -> Tensor:
        """Vectors (m, D) times the inverse of the metric, in which what is dear is long."""
        share = self.strengths / (self.strengths + PRIOR_SHARE)
        return (vectors - (vectors @ self.directions.T * share) @ self.directions) / PRIOR_SHARE


@dataclass(frozen=True)
class ChangeMetric:
    """The mean of `J^T J` for the rows of the latent that a drag moves, in n by n cells of the picture; D as above.

    Attributes:
        changes: orthogonal directions that change features most, (k, D), unit length.
        cells: squared change of the features of each cell, row by row, by pairs of these directions, (n * n, k, k).
    """

    changes: Tensor
    cells: Tensor

    @property
    def side(self) -> int:
        """Number of cells along a side of the picture, n."""
        return round(len(self.cells) ** 0.5)

    def weighed(self, importance: Tensor | None = None) -> Metric:
        """Make a metric of what each cell counts, (n, n) and at least 0; None for 1 everywhere."""
        weights = self.cells.new_ones(len(self.cells)) if importance is None else importance.flatten()
        matrix = torch.einsum("c,ckl->kl", weights, self.cells).cpu().double()  # Metal has neither
        strengths, turns = (tensor.to(self.changes) for tensor in torch.linalg.eigh(matrix))
        return Metric(turns.T @ self.changes, strengths.clamp(min=0))

    def save(self, path: Path) -> None:
        """Write all or nothing, in half precision and of each cell one triangle.

        Raises:
            OSError: the file cannot be written.
        """
        rows, columns = torch.tril_indices(*self.cells.shape[1:])
        save_tensors({"changes": self.changes.half(), "cells": self.cells[:, rows, columns].half()}, path)

    @classmethod
    def of(cls, folder: Path, name: str, generator: Generator) -> ChangeMetric | None:
        """What is known of an installed model: learned by `models prepare`, or brought along by this package."""
        return cls.load(folder / METRIC_FILE, generator) or cls.load(BROUGHT / f"{name}.{METRIC_FILE}", generator)

    @classmethod
    def load(cls, path: Path, generator: Generator) -> ChangeMetric | None:
        """Load what was learned of a model; None where nothing was, or of another model."""
        try:
            tensors = {name: tensor.to(generator.w_mean) for name, tensor in load_file(path).items()}
        except (OSError, SafetensorError):
            return None
        length = generator.coarse_ws * generator.w_dim
        if tensors.keys() != {"changes", "cells"} or any(tensor.ndim != 2 for tensor in tensors.values()):
            return None
        changes, triangles = tensors["changes"], tensors["cells"]
        count = len(changes)
        rows, columns = torch.tril_indices(count, count)
        fits = (changes.shape[1], triangles.shape[1]) == (length, len(rows))
        fits = fits and len(triangles) in {n * n for n in range(1, CELLS + 1)}
        if not (fits and all(bool(tensor.isfinite().all()) for tensor in tensors.values())):
            return None
        cells = triangles.new_zeros(len(triangles), count, count)
        cells[:, rows, columns] = cells[:, columns, rows] = triangles
        return cls(changes, cells)

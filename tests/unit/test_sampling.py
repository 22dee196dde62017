"""Reading feature maps at points."""

from __future__ import annotations

import pytest
import torch

from engine.drag.sampling import FeatureView


@pytest.mark.parametrize("whole", [True, False], ids=["whole map", "windows"])
@pytest.mark.parametrize("margin", [0, 6])
def test_squared_distances_are_those_of_the_raster(whole: bool, margin: int) -> None:
    """Inside, between positions and beyond every border."""
    random = torch.Generator().manual_seed(3)
    points = torch.tensor([[2.0, 30.0], [31.5, 3.0], [60.25, 61.0], [30.0, 33.3]], dtype=torch.float64)
    maps = torch.randn(1 if whole else len(points), 5, 16, 16, generator=random, dtype=torch.float64)
    view = FeatureView(maps, torch.zeros(len(maps), 2, dtype=torch.float64), 16, 64, margin)
    features = torch.randn(len(points), 5, generator=random, dtype=torch.float64)
    steps = torch.arange(-9.0, 10.0, dtype=torch.float64)
    xs, ys = (points[:, axis, None] + steps[: 19 - axis] for axis in (0, 1))
    expected = (view.sample_grid(xs, ys) - features[:, :, None, None]).square().sum(1)
    assert torch.allclose(view.squared_distances(xs, ys, features), expected, rtol=1e-12, atol=1e-12)

"""The metric that the package brings along for the face model: what a mask holds stays more as it was."""

from __future__ import annotations

import numpy as np
import torch

from engine.drag import DragPoints, drag
from engine.models import Model


@torch.no_grad()
def test_a_masked_drag_changes_less_outside(faces_model: Model) -> None:
    """Corners of the mouth pulled inside a mask around it, with the metric and without; both arrive."""
    generator, metric = faces_model.generator, faces_model.metric
    assert metric is not None
    changed = {True: 0.0, False: 0.0}
    for seed in (3_300_000, 3_300_001, 3_300_002):
        w_plus = generator.sample_w_plus(seed)
        before = generator.features(w_plus, 128)
        points = DragPoints(np.array([[420.0, 745.0]]), np.array([[396.0, 733.0]]))
        mask = np.zeros((generator.resolution, generator.resolution), np.float32)
        mask[620:860, 300:720] = 1
        outside = torch.from_numpy(1 - mask[4::8, 4::8])
        for known in changed:
            events = drag(generator, w_plus, points, mask=mask, metric=metric if known else None)
            best = min(events, key=lambda event: event.mean_distance)
            assert best.mean_distance < 6
            changed[known] += float(((generator.features(best.w_plus, 128) - before).square() * outside).sum())
    assert changed[True] < 0.6 * changed[False]

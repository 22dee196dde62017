"""The metric that the package brings along for the face model: it knows where pictures change, and masks use it."""

from __future__ import annotations

import numpy as np
import torch

from engine.drag import DragPoints, drag
from engine.latent import Whitening
from engine.models import Model


@torch.no_grad()
def test_it_tells_where_faces_of_other_seeds_change(faces_model: Model) -> None:
    """Steps that it calls harmless for one half of the picture, and dear for the other, change them accordingly."""
    generator, metric = faces_model.generator, faces_model.metric
    assert metric is not None
    factor, rows = Whitening(generator).factor, generator.coarse_ws
    upper = torch.zeros(8, 8)
    upper[:4] = 1
    shares = []
    for asked in (upper, 1 - upper):
        changed, held = ((metric.cells * half.flatten()[:, None, None]).sum(0) for half in (asked, 1 - asked))
        whitening = torch.linalg.cholesky(held + 0.1 * torch.eye(len(held))).inverse()
        way = torch.linalg.eigh(whitening @ changed @ whitening.T).eigenvectors[:, -1] @ whitening
        step = (way / way.norm() @ metric.changes).view(rows, -1) @ factor.T
        found = 0.0
        for seed in (3_300_003, 3_300_004, 3_300_005):
            w_plus = generator.sample_w_plus(seed, 0.7)
            moved = torch.cat([w_plus[:, :rows] + 0.05 * step, w_plus[:, rows:]], 1)
            change = (generator.features(moved, 64) - generator.features(w_plus, 64)).square().sum(1)[0]
            found += float(change[:32].sum() / change.sum()) / 3
        shares.append(found)
    assert shares[0] > 0.6 > 0.4 > shares[1]


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
    assert changed[True] < 0.4 * changed[False]

"""Find faces and their five landmarks: MTCNN (Zhang et al. 2016, arXiv 1604.02878).

Three small networks, each looking closer at what the one before let through: P-Net slides over an image pyramid,
R-Net and O-Net judge and correct single boxes, O-Net also places the landmarks. Inference only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from krita_drag.wire.errors import ModelCorrupt
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

WORKING_SIDE_PX = 1024  # longer side of the picture that is searched
SMALLEST_FACE = 0.05  # of the longer side
PYRAMID_STEP = 0.709  # area halves from level to level
SCORES = (0.6, 0.7, 0.7)  # what a box must reach in each network to go on (the paper's published values)
_CELL_PX, _STRIDE_PX = 12, 2  # P-Net's receptive field and the distance between its positions
_BATCH = 256


@dataclass(frozen=True, eq=False)
class Face:
    """One face, in document pixels.

    Attributes:
        box_xyxy: left, top, right, bottom, (4,).
        landmarks: left eye, right eye, nose, left and right corner of the mouth as seen in the picture, (5, 2).
        score: O-Net's confidence, 0 to 1.
    """

    box_xyxy: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    score: float

    @property
    def side_px(self) -> float:
        """Longer side of the box, document pixels."""
        left, top, right, bottom = self.box_xyxy
        return float(max(right - left, bottom - top))


class FaceDetector:
    """The three networks with their weights.

    Args:
        weights: safetensors file with the tensors `pnet.*`, `rnet.*` and `onet.*`.

    Raises:
        ModelCorrupt: the file is damaged or holds something else.
    """

    def __init__(self, weights: Path) -> None:
        try:
            self._networks = _Networks(load_file(weights))
            self._networks.check()
        except (SafetensorError, OSError, KeyError, RuntimeError) as error:
            message = f"The face detector's file {weights} is damaged."
            raise ModelCorrupt(message, "Delete it and run `krita-drag models fetch faces`.") from error

    @torch.no_grad()
    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """Find the upright or moderately tilted faces of a picture.

        Args:
            rgb: (H, W, 3).

        Returns:
            Faces larger than 5 % of the picture's longer side, the largest first.
        """
        ratio = min(1.0, WORKING_SIDE_PX / max(rgb.shape[:2]))
        image = _normalised(rgb, ratio)
        boxes = self._propose(image)
        boxes = _square(self._refine(image, boxes))
        faces = self._locate(image, boxes, ratio)
        return sorted(faces, key=lambda face: face.side_px, reverse=True)

    def _propose(self, image: Tensor) -> Tensor:
        """P-Net over the pyramid: (1, 3, H, W) -> square boxes (n, 4) xyxy in pixels of `image`."""
        height, width = image.shape[2:]
        scale = _CELL_PX / max(20.0, SMALLEST_FACE * max(height, width))
        found = [torch.zeros(0, 5)]
        while min(height, width) * scale >= _CELL_PX:
            level = F.interpolate(image, (int(height * scale) + 1, int(width * scale) + 1), mode="area")
            probability, offsets = self._networks.pnet(level)  # (h, w), (4, h, w)
            rows, columns = torch.where(probability >= SCORES[0])
            corner = torch.stack([columns, rows, columns, rows], 1) * _STRIDE_PX  # (n, 4)
            cells = (corner + torch.tensor([0, 0, _CELL_PX, _CELL_PX])) / scale
            boxes = torch.cat([cells, probability[rows, columns, None]], 1)
            kept = _suppress(boxes, 0.5)
            found.append(_shift(boxes, offsets[:, rows, columns].T)[kept])
            scale *= PYRAMID_STEP
        boxes = torch.cat(found)
        return _square(boxes[_suppress(boxes, 0.7)])

    def _refine(self, image: Tensor, boxes: Tensor) -> Tensor:
        """R-Net: boxes (n, 5) -> the better ones, corrected."""
        parts = [self._networks.rnet(part) for part in _patches(image, boxes, 24)]
        if not parts:
            return boxes[:0]
        score, offsets = (torch.cat(values) for values in zip(*parts, strict=True))
        boxes = torch.cat([boxes[:, :4], score[:, None]], 1)
        good = score > SCORES[1]
        boxes, offsets = boxes[good], offsets[good]
        kept = _suppress(boxes, 0.7)
        return _shift(boxes[kept], offsets[kept])

    def _locate(self, image: Tensor, boxes: Tensor, ratio: float) -> list[Face]:
        """O-Net: boxes (n, 5) -> faces in document pixels."""
        parts = [self._networks.onet(part) for part in _patches(image, boxes, 48)]
        if not parts:
            return []
        score, offsets, places = (torch.cat(values) for values in zip(*parts, strict=True))
        boxes = torch.cat([boxes[:, :4], score[:, None]], 1)
        sizes = (boxes[:, 2:4] - boxes[:, :2])[:, None]  # (n, 1, 2)
        landmarks = boxes[:, None, :2] + sizes * torch.stack([places[:, :5], places[:, 5:]], 2)  # (n, 5, 2)
        boxes = _shift(boxes, offsets)
        good = torch.where(score > SCORES[2])[0]
        good = good[_suppress(boxes[good], 0.7, of_smaller=True)]
        return [
            Face(boxes[i, :4].double().numpy() / ratio, landmarks[i].double().numpy() / ratio, float(score[i]))
            for i in good
        ]


class _Networks:
    """P-, R- and O-Net as functions of their tensors; every layer is a convolution or a dense one with PReLU."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self._tensors = tensors

    def check(self) -> None:
        """Run each network once; KeyError or RuntimeError where the tensors are not theirs."""
        self.pnet(torch.zeros(1, 3, 12, 12))
        self.rnet(torch.zeros(1, 3, 24, 24))
        self.onet(torch.zeros(1, 3, 48, 48))

    def pnet(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 3, H, W) -> probability of a face (h, w) and box offsets (4, h, w)."""
        x = F.max_pool2d(self._conv(x, "pnet", 1), 2, 2, ceil_mode=True)
        x = self._conv(self._conv(x, "pnet", 2), "pnet", 3)
        face = F.conv2d(x, *self._weights("pnet.conv4_1")).softmax(1)
        return face[0, 1], F.conv2d(x, *self._weights("pnet.conv4_2"))[0]

    def rnet(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, 24, 24) -> probabilities (n,) and box offsets (n, 4)."""
        for i in (1, 2):
            x = F.max_pool2d(self._conv(x, "rnet", i), 3, 2, ceil_mode=True)
        x = self._dense(self._conv(x, "rnet", 3), "rnet", 4)
        return self._heads(x, "rnet.dense5_1").softmax(1)[:, 1], self._heads(x, "rnet.dense5_2")

    def onet(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, 48, 48) -> probabilities (n,), box offsets (n, 4), landmarks (n, 10): five x, five y."""
        for i, window in ((1, 3), (2, 3), (3, 2)):
            x = F.max_pool2d(self._conv(x, "onet", i), window, 2, ceil_mode=True)
        x = self._dense(self._conv(x, "onet", 4), "onet", 5)
        score = self._heads(x, "onet.dense6_1").softmax(1)[:, 1]
        return score, self._heads(x, "onet.dense6_2"), self._heads(x, "onet.dense6_3")

    def _weights(self, name: str) -> tuple[Tensor, Tensor]:
        return self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]

    def _conv(self, x: Tensor, net: str, i: int) -> Tensor:
        return F.prelu(F.conv2d(x, *self._weights(f"{net}.conv{i}")), self._tensors[f"{net}.prelu{i}.weight"])

    def _dense(self, x: Tensor, net: str, i: int) -> Tensor:
        x = x.permute(0, 3, 2, 1).flatten(1)  # the published weights count columns first
        return F.prelu(F.linear(x, *self._weights(f"{net}.dense{i}")), self._tensors[f"{net}.prelu{i}.weight"])

    def _heads(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, *self._weights(name))


def _normalised(rgb: NDArray[np.uint8], ratio: float) -> Tensor:
    """(H, W, 3) -> (1, 3, ratio H, ratio W), in the networks' range of about [-1, 1]."""
    image = Image.fromarray(rgb)
    if ratio < 1:
        size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
        image = image.resize(size, Image.Resampling.BOX)
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() - 127.5) / 128


def _patches(image: Tensor, boxes: Tensor, side: int) -> list[Tensor]:
    """Cut boxes (n, 4+) out of the image, black beyond its edges: batches of (m, 3, side, side)."""
    height, width = image.shape[2:]
    patches = []
    for left, top, right, bottom in boxes[:, :4].round().int().tolist():
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        beyond = [max(0, -left), max(0, right - width), max(0, -top), max(0, bottom - height)]
        inside = image[:, :, max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        padded = F.pad(inside, beyond, value=-1.0)
        patches.append(F.interpolate(padded, (side, side), mode="area"))
    return list(torch.cat(patches).split(_BATCH)) if patches else []


def _shift(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Correct boxes (n, 5) by offsets (n, 4) given in fractions of their width and height."""
    sizes = (boxes[:, 2:4] - boxes[:, :2]).repeat(1, 2)
    return torch.cat([boxes[:, :4] + offsets * sizes, boxes[:, 4:]], 1)


def _square(boxes: Tensor) -> Tensor:
    """Grow the shorter side of boxes (n, 5) about their centre."""
    centres, sizes = (boxes[:, :2] + boxes[:, 2:4]) / 2, boxes[:, 2:4] - boxes[:, :2]
    half = sizes.amax(1, keepdim=True) / 2
    return torch.cat([centres - half, centres + half, boxes[:, 4:]], 1)


def _suppress(boxes: Tensor, threshold: float, of_smaller: bool = False) -> Tensor:
    """Keep the best of boxes that overlap: (n, 5) xyxy and score -> indices, best first.

    Args:
        boxes: the candidates.
        threshold: overlap from which the lesser box goes, as a fraction of the union of both areas.
        of_smaller: count the overlap as a fraction of the smaller box instead.
    """
    areas = (boxes[:, 2] - boxes[:, 0]).clamp(0) * (boxes[:, 3] - boxes[:, 1]).clamp(0)
    order = boxes[:, 4].argsort(descending=True, stable=True)
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low, high = boxes[order, :2].maximum(boxes[best, :2]), boxes[order, 2:4].minimum(boxes[best, 2:4])
        shared = (high - low).clamp(0).prod(1)
        smaller, union = areas[order].minimum(areas[best]), areas[order] + areas[best] - shared
        order = order[shared <= threshold * (smaller if of_smaller else union)]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.long)

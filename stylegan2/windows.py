"""Exact receptive-field cropping: compute only the parts of a feature map that somebody reads.

The generators here have no spatial normalisation, so a window of a feature map needs only a window of every
earlier map. The dense network runs up to the resolution where windows become cheaper, then each block maps the
windows of its input to windows of its output. The network pads every map with zeros, hence a window that lies
partly outside its map holds zeros there after every layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Windows:
    """K square windows of one size in a feature map.

    Attributes:
        origins_xy: top-left position of each window, (x, y) in positions of the map; may be negative.
        size: side of every window, positions.
    """

    origins_xy: tuple[tuple[int, int], ...]
    size: int

    def __len__(self) -> int:
        return len(self.origins_xy)

    def grown(self, margin: int) -> Windows:
        """The windows with `margin` more positions on every side."""
        return Windows(tuple((x - margin, y - margin) for x, y in self.origins_xy), self.size + 2 * margin)

    def moved(self, dx: int) -> Windows:
        """The same windows as seen from `dx` positions further right."""
        return Windows(tuple((x - dx, y) for x, y in self.origins_xy), self.size)

    def within(self, height: int, width: int) -> bool:
        """Whether all windows lie inside a map of this size."""
        last_x, last_y = width - self.size, height - self.size
        return all(0 <= x <= last_x and 0 <= y <= last_y for x, y in self.origins_xy)


class Block(Protocol):
    """One resolution of a generator, as far as windows are concerned."""

    @property
    def resolution(self) -> int:
        """Height of the block's output, positions."""
        ...

    @property
    def width(self) -> int:
        """Width of the block's output, positions."""
        ...

    @property
    def macs_per_position(self) -> int:
        """Multiply-accumulates per output position."""
        ...

    def window_input(self, windows: Windows) -> Windows:
        """The windows of the input map that are needed for `windows` of the output map."""
        ...


def crop(dense: Tensor, windows: Windows) -> Tensor:
    """Cut windows out of a map, with zeros outside it.

    Args:
        dense: (1, C, H, W), or (K, C, H, W) with a map of its own for every window.
        windows: K windows.

    Returns:
        (K, C, size, size).
    """
    height, width = dense.shape[-2:]
    if windows.within(height, width):
        padded, shift = dense, 0
    else:
        shift = windows.size  # a window may touch the map by its last row only
        padded = F.pad(dense, (shift,) * 4)
    last_x, last_y = (side + shift - windows.size for side in (width, height))
    # windows wholly outside stay wholly outside
    corners = [
        tuple(min(max(v, -shift), last) + shift for v, last in ((x, last_x), (y, last_y)))
        for x, y in windows.origins_xy
    ]
    cut: Tensor = _Cut.apply(padded, corners, windows.size)
    return cut


class _Cut(torch.autograd.Function):
    """Windows inside a map; their gradients are added up in place.

    Autograd's own way makes a whole map of every window first: of 68 windows, ten times the work of the network.
    """

    @staticmethod
    def forward(ctx: Any, dense: Tensor, corners: Sequence[tuple[int, int]], size: int) -> Tensor:
        """(1 or K, C, H, W), K corners (x, y) -> (K, C, size, size)."""
        ctx.shape, ctx.corners = dense.shape, corners
        sources = dense.expand(len(corners), -1, -1, -1)
        return torch.stack([part[:, y : y + size, x : x + size] for part, (x, y) in zip(sources, corners, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """(K, C, size, size) -> as the map."""
        size = gradient.shape[-1]
        dense = gradient.new_zeros(ctx.shape)
        into = dense.expand(len(ctx.corners), -1, -1, -1)
        for part, target, (x, y) in zip(gradient, into, ctx.corners, strict=True):
            target[:, y : y + size, x : x + size] += part
        return dense, None, None


def trim(x: Tensor, offsets_xy: Sequence[tuple[int, int]], size: int) -> Tensor:
    """Cut every window to `size`, each at its own offset. (K, C, M, M) -> (K, C, size, size)."""
    if len(set(offsets_xy)) == 1:
        dx, dy = offsets_xy[0]
        return x[:, :, dy : dy + size, dx : dx + size]
    return torch.stack([part[:, dy : dy + size, dx : dx + size] for part, (dx, dy) in zip(x, offsets_xy, strict=True)])


def clear_outside(x: Tensor, windows: Windows, height: int, width: int) -> Tensor:
    """Set what lies outside the map to zero. (K, C, size, size), any dtype."""
    if windows.within(height, width):
        return x
    origins = torch.tensor(windows.origins_xy, device=x.device)  # (K, 2)
    positions = origins[:, :, None] + torch.arange(windows.size, device=x.device)  # (K, 2, size)
    inside = (positions >= 0) & (positions < torch.tensor([[width], [height]], device=x.device))
    return x * (inside[:, 1, :, None] & inside[:, 0, None, :])[:, None].to(x.dtype)


def plan(blocks: Sequence[Block], windows: Windows) -> tuple[int, list[Windows]]:
    """Decide from which block on windows are cheaper than the dense map.

    Args:
        blocks: all blocks up to the wanted resolution, lowest first.
        windows: the wanted windows of the last block's output.

    Returns:
        Number of leading blocks to run densely (at least 1), and for that and every later block the windows of
        its output that are needed.
    """
    needed = [windows]  # needed[0] belongs to the lowest block
    for block in reversed(blocks[1:]):
        needed.insert(0, block.window_input(needed[0]))
    dense_costs = [block.macs_per_position * block.resolution * block.width for block in blocks]
    window_costs = [
        block.macs_per_position * len(windows) * part.size**2 for block, part in zip(blocks, needed, strict=True)
    ]
    totals = [sum(dense_costs[:k]) + sum(window_costs[k:]) for k in range(1, len(blocks) + 1)]
    dense = 1 + min(range(len(totals)), key=totals.__getitem__)
    return dense, needed[dense - 1 :]

"""Time of one drag step: the naive way, a bare pass of the truncated trunk, ours whole, ours with windows.

    python -m benchmarks.drag_step [--sizes 256,512,1024] [--points 1,8] [--rounds 5] [--json FILE]

StyleGAN2 config-f with random weights (channel_base 32768), fp32, every variant interleaved in one process. Peak
memory is measured by a process of its own for each variant. The naive way is `benchmarks.naive`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from benchmarks.naive import NaiveDraggan
from benchmarks.timing import PeakMemory, interleaved_medians, machine, print_table, write_json
from engine.device import pick
from engine.drag import DragPoints, sampling
from engine.drag.descent import FEATURE_SIZE
from engine.drag.draggan import Draggan
from stylegan2 import Generator, StyleGAN2Config, StyleGAN2Generator

VARIANTS = ("naive", "trunk", "dense", "windows")


def random_generator(size: int) -> Generator:
    """StyleGAN2 config-f with random weights."""
    torch.manual_seed(0)
    channels = {4 << i: min(32768 // (4 << i), 512) for i in range(size.bit_length() - 2)}
    generator = StyleGAN2Generator(StyleGAN2Config(512, 0, 512, size, channels))
    generator.set_statistics(torch.zeros(512), torch.eye(512))
    return generator.to(pick()).requires_grad_(False)


def spread_points(size: int, count: int) -> DragPoints:
    """Handles on a ring around the centre, pulled outwards; far enough never to land."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False) + 0.3
    ring = np.stack([np.cos(angles), np.sin(angles)], 1)
    return DragPoints(np.floor(size / 2 + ring * size / 6) + 0.5, np.floor(size / 2 + ring * size / 2.5) + 0.5)


def make_step(variant: str, size: int, count: int) -> Callable[[], object]:
    """Prepare a drag and return the call that does one step of it."""
    generator, points = random_generator(size), spread_points(size, count)
    w_plus = generator.sample_w_plus(1)
    if variant == "naive":
        return NaiveDraggan(generator, w_plus, points).step
    if variant == "trunk":
        return lambda: bare_pass(generator, w_plus)
    share = 0.0 if variant == "dense" else sampling.DENSE_SHARE
    with mock.patch.object(sampling, "DENSE_SHARE", share):
        steps = Draggan(generator, w_plus, points).steps(10**9)
        next(steps)

    def step() -> None:
        with mock.patch.object(sampling, "DENSE_SHARE", share):
            next(steps)

    return step


def bare_pass(generator: Generator, w_plus: torch.Tensor) -> None:
    """Forward and backward through the trunk up to the feature block, for the rows that a drag moves."""
    w = w_plus[:, : generator.coarse_ws].clone().requires_grad_(True)
    rows = (*w.unbind(1), *w_plus[:, generator.coarse_ws :].unbind(1))
    generator.features(rows, FEATURE_SIZE).sum().backward()


def measure_memory(variant: str, size: int, count: int) -> float:
    """Peak memory of two steps in a fresh process, MB above the loaded generator."""
    command = [sys.executable, "-m", "benchmarks.drag_step", "--memory-of", variant, str(size), str(count)]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="256,512,1024")
    parser.add_argument("--points", default="1,8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        variant, size, count = options.memory_of
        step = make_step(variant, int(size), int(count))
        with PeakMemory() as peak:
            step(), step()
        print(json.dumps(peak.mb))
        return
    print(machine())
    rows = []
    for size in map(int, options.sizes.split(",")):
        for count in map(int, options.points.split(",")):
            steps = {variant: make_step(variant, size, count) for variant in VARIANTS}
            medians = interleaved_medians(steps, options.rounds)
            for variant in VARIANTS:
                seconds = medians[variant]
                memory = measure_memory(variant, size, count)
                ratio = medians["naive"] / seconds
                rows.append([size, count, variant, f"{seconds * 1e3:.1f}", f"{ratio:.1f}x", f"{memory:.0f}"])
    header = ["size px", "points", "variant", "ms a step", "faster than naive", "peak MB"]
    print_table(header, rows)
    write_json(options.json, [dict(zip(header, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()

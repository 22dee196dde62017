"""How long it takes to read the model files that people have, next to unpickling the same bytes without any care.

    python -m benchmarks.checkpoint_load [--resolution 1024] [--rounds 5]

The files hold random networks of NVIDIA's sizes (config-f). "Plain" is `torch.load(weights_only=False)` for files of
torch.save, and `pickle.load` with a stand-in for NVIDIA's classes for theirs, which torch.load cannot read and whose
official loader also compiles the source code in them. Ours reads, checks and builds; "all" builds G_ema, G and D.
Each load is the first of a process of its own, as in life: memory that was used before is several times faster.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import PeakMemory, machine, print_table
from stylegan2 import StyleGAN2Config, StyleGAN2Generator
from stylegan2.checkpoints.detect import open_checkpoint
from stylegan2.discriminator import Discriminator, DiscriminatorConfig

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))
from genuine_files import EasyDict, Network, nvidia_pickle, nvidia_state, tensorflow_pickle

MAX_CHANNELS, CHANNELS_TIMES_RESOLUTION = 512, 32768


class _Unpickler(pickle.Unpickler):
    """Unpickles NVIDIA's files with everything that they name, but keeps their networks as dicts."""

    def find_class(self, module: str, name: str) -> Any:
        stand_ins = {"_reconstruct_persistent_obj": dict, "EasyDict": EasyDict, "Network": _State}
        return stand_ins[name] if module.startswith(("torch_utils", "dnnlib")) else super().find_class(module, name)


class _State(Network):
    def __init__(self) -> None:
        super().__init__({})


def _unpickle(path: Path) -> object:
    with path.open("rb") as file:
        return _Unpickler(file).load()


def _read_all(path: Path) -> object:
    return [network.build() for network in open_checkpoint(path).networks.values()]


def _networks(resolution: int) -> dict[str, dict[str, torch.Tensor]]:
    sides = [4 << i for i in range(resolution.bit_length() - 3 + 1) if 4 << i <= resolution]
    channels = {side: min(MAX_CHANNELS, CHANNELS_TIMES_RESOLUTION // side) for side in sides}
    generator = StyleGAN2Generator(StyleGAN2Config(512, 0, 512, resolution, channels))
    return {"G": nvidia_state(generator), "D": Discriminator(DiscriminatorConfig(resolution, channels)).state_dict()}


def _rosinality_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A generator's state under rosinality's names, scaled as there; the inverse of the reader."""
    renamed: dict[str, torch.Tensor] = {}
    ends = {"weight": "conv.weight", "affine.weight": "conv.modulation.weight", "affine.bias": "conv.modulation.bias"}
    for name, tensor in state.items():
        if name == "mapping.w_avg":
            continue
        network, block, rest = name.split(".", 2)
        if network == "mapping":
            renamed[f"style.{int(block[2:]) + 1}.{rest}"] = tensor
            continue
        level = int(block[1:]).bit_length() - 3
        layer, _, end = rest.partition(".")
        number = 2 * level - (2 if layer == "conv0" else 1)
        if layer == "const":
            renamed["input.input"] = tensor[None]
        elif end == "noise_const":
            renamed[f"noises.noise_{number + 1}"] = tensor[None, None]
        elif layer == "torgb":
            start = f"to_rgbs.{level - 1}" if level else "to_rgb1"
            renamed[f"{start}.{ends.get(end, end)}"] = tensor[None, :, None, None] if end == "bias" else tensor
        else:
            start = f"convs.{number}" if level else "conv1"
            last = {"bias": "activate.bias", "noise_strength": "noise.weight"}.get(end) or ends[end]
            renamed[f"{start}.{last}"] = tensor.reshape(1) if end == "noise_strength" else tensor
    return {name: tensor[None] if name.endswith("conv.weight") else tensor for name, tensor in renamed.items()}


VARIANTS: dict[str, Callable[[Path], object]] = {
    "plain": lambda path: _unpickle(path) if path.suffix == ".pkl" else torch.load(path, weights_only=False),
    "G_ema": lambda path: open_checkpoint(path).generator(),
    "all": _read_all,
}


def _measure(variant: str, path: Path) -> None:
    """Load once in this process and print seconds and the memory that it added, MB."""
    torch.nn.Linear(1, 1)  # what torch does at its first use is not part of loading
    torch.frombuffer(bytearray(4), dtype=torch.float32).clone()
    with PeakMemory() as peak:
        start = time.perf_counter()
        kept = VARIANTS[variant](path)
        seconds = time.perf_counter() - start
    print(seconds, peak.mb)
    del kept


def _row(name: str, path: Path, rounds: int) -> list[object]:
    results: dict[str, list[tuple[float, float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(rounds):
        for variant, figures in results.items():
            command = [sys.executable, "-m", "benchmarks.checkpoint_load", "--measure", variant, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, mb = (float(word) for word in done.stdout.split())
            figures.append((seconds, mb))
    times = {variant: statistics.median(seconds for seconds, _ in figures) for variant, figures in results.items()}
    memory = [f"{statistics.median(mb for _, mb in figures):.0f}" for figures in results.values()]
    size = f"{path.stat().st_size / 1e6:.0f}"
    ratios = [f"{times[variant] / times['plain']:.2f}" for variant in ("G_ema", "all")]
    return [name, size, *(f"{seconds:.2f}" for seconds in times.values()), *ratios, *memory]


def main() -> None:
    """Write the files, time all variants, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", nargs=2, metavar=("VARIANT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        _measure(options.measure[0], Path(options.measure[1]))
        return
    states = _networks(options.resolution)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: Path(folder) / name
            for name in ("NVIDIA.pkl", "TensorFlow.pkl", "rosinality ZIP.pt", "rosinality legacy.pt")
        }
        nvidia, tensorflow, archive, legacy = files.values()
        nvidia.write_bytes(nvidia_pickle(states, {"G": {}, "D": {}}, {"img_resolution": options.resolution}))
        tensorflow.write_bytes(tensorflow_pickle(states, options.resolution))
        theirs = _rosinality_names(states["G"])
        torch.save({"g_ema": theirs}, archive)
        torch.save({"g_ema": theirs}, legacy, _use_new_zipfile_serialization=False)
        del states, theirs
        rows = [_row(name, path, options.rounds) for name, path in files.items()]
    print(machine())
    header = ["file", "MB", "plain s", "G_ema s", "all s", "G_ema ratio", "all ratio", "plain MB", "G_ema MB", "all MB"]
    print_table(header, rows)


if __name__ == "__main__":
    main()

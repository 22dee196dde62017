"""Which PyTorch the installer takes, and where from."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import serving

sys.path.insert(0, str(Path(__file__).parents[2] / "krita_plugin"))

from installing import torch_choice
from installing.running import Stop


@pytest.mark.parametrize("choice", ["auto", "cpu", "cuda", "reuse"])
def test_words_mean_the_tested_torch(choice: str) -> None:
    assert torch_choice.torch_requirement(choice) == torch_choice.TESTED_TORCH


@pytest.mark.parametrize(
    "spec",
    ["torch==2.4.0", "torch>=2.4", "torch==2.12.1+cu130", "torch>=2.5,<3", "torch ~= 2.9", "torch==2.*", "torch~=2.0",
     "torch~=2.4.0", "torch==2.4rc1", "torch<=2.4", "torch<2.4.1", "torch!=2.0"],
)  # fmt: skip
def test_requirements_are_passed_on(spec: str) -> None:
    assert torch_choice.torch_requirement(spec) == spec


@pytest.mark.parametrize(
    "spec",
    ["torch==1.*", "torch==2", "torch===2.3.1+cpu", "torch<2.4", "torch<2.4.0", "torch<2", "torch<=2.3.1", "torch<=2",
     "torch~=1.13", "torch~=2.3.0", "torch>=2.4,==2.3.*"],
)  # fmt: skip
def test_requirements_that_only_a_torch_too_old_meets_are_refused(spec: str) -> None:
    with pytest.raises(Stop, match="too old"):
        torch_choice.torch_requirement(spec)


@pytest.mark.parametrize(
    ("choice", "gpu", "system", "indexes"),
    [
        ("auto", False, "linux", [torch_choice.CPU_INDEX, ""]),
        ("cpu", True, "linux", [torch_choice.CPU_INDEX, ""]),
        ("torch==2.9.0", False, "linux", [torch_choice.CPU_INDEX, ""]),
        ("auto", True, "linux", [""]),
        ("cuda", False, "linux", [""]),
        ("auto", False, "win32", [""]),
        ("cpu", True, "win32", [""]),
        ("auto", True, "win32", [torch_choice.CUDA_INDEX, ""]),
        ("cuda", False, "win32", [torch_choice.CUDA_INDEX]),
        ("auto", False, "darwin", [""]),
    ],
)
def test_where_torch_comes_from(choice: str, gpu: bool, system: str, indexes: list[str]) -> None:
    assert torch_choice.torch_indexes(choice, gpu, system) == indexes


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_reachable_means_an_answer_in_time(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving({"/torch/": b"index"}) as server:
        assert torch_choice.reachable(f"{server.url}/torch/")
        assert not torch_choice.reachable(f"{server.url}/other/")
    assert not torch_choice.reachable(f"{server.url}/torch/")  # gone
    assert not torch_choice.reachable(f"http://127.0.0.1:{silent_port}/torch/", timeout_s=0.2)
    assert not torch_choice.reachable("http://", timeout_s=1)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for nvidia-smi is a shell script")
@pytest.mark.parametrize(
    ("script", "found"), [("echo 'GPU 0: NVIDIA H200'", True), ("echo failed; exit 9", False), (None, False)]
)
def test_a_gpu_is_what_the_driver_lists(
    script: str | None, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert torch_choice.has_nvidia_gpu() is found

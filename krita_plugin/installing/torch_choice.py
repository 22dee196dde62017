"""Which PyTorch, where from, and whether it works: what `--torch` means."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import NoReturn

from installing.running import Stop

OLDEST_TORCH = (2, 4)
TESTED_TORCH = "torch==2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA_INDEX = "https://download.pytorch.org/whl/cu130"
PROBE_TIMEOUT_S = 5.0


def torch_requirement(choice: str) -> str:
    """Turn the value of `--torch` into what pip is asked for; refuse here already what the engine cannot use."""
    if choice in ("auto", "cpu", "cuda", "reuse"):
        return TESTED_TORCH
    clause = r"(===?|>=|<=|~=|!=|<|>)\s*(\d[\w.+!*]*)"
    if not re.fullmatch(rf"torch\s*{clause}(\s*,\s*{clause})*", choice):
        raise Stop(f"--torch {choice!r} is not understood.", f"Use cpu, cuda, auto or, say, --torch {TESTED_TORCH}")
    for operator, number in re.findall(clause, choice):
        if admits_only_too_old(operator, number):
            refuse_torch(f"torch{operator}{number}")
    return choice


def admits_only_too_old(operator: str, number: str) -> bool:
    """Tell whether no torch that meets this clause is new enough (the meaning of clauses: PEP 440)."""
    if operator in (">=", ">", "!="):
        return False
    numbers = [int(text) for text in re.findall(r"\d+", re.split(r"[^\d.]", number)[0])]
    if operator == "~=":
        del numbers[-1]  # ~=2.3 is >=2.3,==2.*
    if operator == "~=" or number.endswith(".*"):
        pinned = tuple(numbers[:2])
        return pinned < OLDEST_TORCH[: len(pinned)]
    release = (*numbers, 0, 0, 0)[:3]  # what is left out counts as 0
    return release <= (*OLDEST_TORCH, 0) if operator == "<" else release[:2] < OLDEST_TORCH


def release_of(number: str) -> tuple[int, ...]:
    """Return major and minor of a version."""
    return tuple(map(int, re.findall(r"\d+", number)[:2]))


def refuse_torch(name: str) -> NoReturn:
    """Stop over a torch that is too old."""
    raise Stop(
        f"{name} is too old: the engine needs 2.4 or newer.", f"Tested is {TESTED_TORCH}: --torch auto", rebuild=True
    )


def has_nvidia_gpu() -> bool:
    """Ask the tool that comes with NVIDIA's driver."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return False
    try:
        return b"GPU" in subprocess.run([tool, "-L"], capture_output=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return False


def torch_indexes(choice: str, gpu: bool, system: str = sys.platform) -> list[str]:
    """Return the package indexes to try in order; the empty text is the one that pip is set to use.

    On the default index, builds for Linux come with CUDA (gigabytes), for Windows without, for Macs with Metal.
    """
    wants_cuda = choice == "cuda" or (gpu and choice != "cpu")
    if system == "linux" and not wants_cuda:
        return [CPU_INDEX, ""]
    if system == "win32" and wants_cuda:
        return [CUDA_INDEX] if choice == "cuda" else [CUDA_INDEX, ""]
    return [""]


def reachable(url: str, timeout_s: float = PROBE_TIMEOUT_S) -> bool:
    """Tell whether a web address answers in time (in a thread: a socket's time-out leaves out the name look-up)."""
    answers = []

    def ask() -> None:
        try:
            urllib.request.urlopen(url, timeout=timeout_s).close()
            answers.append(True)
        except urllib.error.URLError as error:
            answers.append(isinstance(error.reason, ssl.SSLError))  # pip may know certificates that Python does not
        except (OSError, ValueError):
            answers.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answers == [True]


def import_torch(python: str | Path, env: dict[str, str], *flags: str) -> tuple[str, list[str]]:
    """Import torch in another process; return its version and the package folders there, or Stop."""
    code = "import json, sys, torch; print(json.dumps([str(torch.__version__), sys.path]))"
    result = subprocess.run([str(python), *flags, "-c", code], capture_output=True, env=env, check=False)
    if result.returncode:
        reason = (result.stderr.decode("utf-8", "replace").strip() or "it crashed").splitlines()[-1]
        hint = "On Windows, install Microsoft's Visual C++ Redistributable. Else run again with --torch auto."
        raise Stop(f"PyTorch does not load in {python} ({reason}).", hint, rebuild=True)
    number, paths = json.loads(result.stdout.splitlines()[-1])
    if release_of(number) < OLDEST_TORCH:
        refuse_torch(f"torch {number}")
    return number, [path for path in paths if Path(path).name in ("site-packages", "dist-packages")]

"""Freed memory is kept while there is work, and given back afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KEPT_AND_GIVEN_BACK = """
import resource, torch
from pathlib import Path
from engine.allocator import keep_freed_memory, release_memory

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20

before = resident_mb()
keep_freed_memory()
torch.ones(100 << 18)
kept = resident_mb() - before
release_memory()
print(kept, resident_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux" or not Path("/proc/self/statm").exists(), reason="only glibc is told so")
def test_memory_is_kept_and_given_back() -> None:
    said = subprocess.run(
        [sys.executable, "-c", KEPT_AND_GIVEN_BACK], capture_output=True, text=True, check=True
    ).stdout.split()
    kept_mb, left_mb = map(int, said)
    assert kept_mb > 90
    assert left_mb < 50


@pytest.mark.skipif(sys.platform != "linux" or not Path("/proc/self/statm").exists(), reason="only glibc is told so")
def test_a_process_with_a_limit_keeps_nothing() -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 36, 1 << 36))\n"
    said = subprocess.run(
        [sys.executable, "-c", limit + KEPT_AND_GIVEN_BACK], capture_output=True, text=True, check=True
    ).stdout.split()
    assert int(said[0]) < 50

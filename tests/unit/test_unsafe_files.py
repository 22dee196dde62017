"""No file makes anything happen: each attack is refused with a sentence that says what it wanted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks import MIB, attacks
from genuine_files import STYLEGAN2_NAMES, nvidia_file, tensorflow_file

from stylegan2.checkpoints.detect import open_checkpoint
from stylegan2.checkpoints.inert import Limits
from stylegan2.errors import CheckpointError

CANARY = Path(tempfile.gettempdir()) / f"krita-drag-canary-{os.getpid()}"
ATTACKS = {name: (content, pattern) for name, content, pattern in attacks(CANARY)}
AUDITED = """
import sys
from pathlib import Path
from stylegan2.checkpoints.detect import open_checkpoint
watched, seen = ("exec", "compile", "import", "open", "os.", "subprocess.", "socket.", "ctypes.", "shutil."), []
def note(event, arguments):
    if event.startswith(watched) and not (event in ("compile", "exec") and not arguments[0]):
        seen.append(f"{event} {str(arguments)[:80]}")
checkpoint = open_checkpoint(Path(sys.argv[1]))  # once before: torch imports some of itself late
checkpoint.generator(), checkpoint.discriminator()
sys.addaudithook(note)
checkpoint = open_checkpoint(Path(sys.argv[1]))
checkpoint.generator(), checkpoint.discriminator()
events = list(seen)
print(len(events), events)
"""


@pytest.fixture
def canary() -> Iterator[Path]:
    yield CANARY
    CANARY.unlink(missing_ok=True)


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(name: str, canary: Path, tmp_path: Path) -> None:
    content, pattern = ATTACKS[name]
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=pattern) as caught:
            open_checkpoint(path).generator()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not canary.exists()
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400
    assert peak < 150 * MIB  # the machine's own limits hold before those of the operating system


def test_the_canary_sings_when_code_runs(canary: Path) -> None:
    """The attacks are real: `pickle` itself does what the first one says."""
    if sys.platform == "win32":
        pytest.skip("the attack is written for a POSIX shell")
    content = ATTACKS["os.system"][0]
    script = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    subprocess.run([sys.executable, "-c", script], input=content, check=True)
    assert canary.exists()


@pytest.mark.parametrize("make", [nvidia_file, tensorflow_file])
def test_reading_genuine_files_does_nothing_else(make: object, tmp_path: Path) -> None:
    """Python's own audit sees one event: the file is opened. The code that the file carries is not even compiled."""
    path = tmp_path / "model.pkl"
    path.write_bytes(make(STYLEGAN2_NAMES[0]))  # type: ignore[operator]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    done = subprocess.run(
        [sys.executable, "-c", AUDITED, str(path)], capture_output=True, text=True, check=True, env=environment
    )
    count, _, events = done.stdout.partition(" ")
    assert count == "1" and "open" in events and path.name in events, done.stdout


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(file_bytes=1000), "bytes; the limit is 1,000"),
        (Limits(steps=1000), "more than 1,000 steps"),
        (Limits(stack=1), "more than 1 values"),
        (Limits(text_bytes=10), "a text in it has"),
        (Limits(tensors=10), "more than 10 tensors"),
        (Limits(elements=100), "beyond the limit of 100"),
        (Limits(nodes=10), "too many times"),
        (Limits(depth=1), "too deeply"),
        (Limits(seconds=0), "more than 0 s"),
    ],
)
def test_limits(limits: Limits, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(nvidia_file(STYLEGAN2_NAMES[1]))
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(path, limits)

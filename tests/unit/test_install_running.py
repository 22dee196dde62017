"""What the installer tells of the programs that it runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "krita_plugin"))

from installing import running


@pytest.mark.parametrize(
    ("output", "sentence", "way_out"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk", "Free"),
        ("WARNING: Retrying after connection broken by 'NewConnectionError(...)'\nERROR: No matching distribution "
         "found for torch==2.13.0", "network does not answer", "HTTPS_PROXY"),
        ("ERROR: Could not find a version\nERROR: No matching distribution found for torch==2.13.0", "no such torch",
         "--torch SPEC"),
        ("ERROR: No matching distribution found for pyzmq>=25.1", "lacks a package", "pip config list"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "certificate", "PIP_CERT"),
        ("ERROR: ... [WinError 5] Access is denied: 'torch.dll'", "could not be written", "Close Krita"),
        ("HINT: This error might have occurred since this system does not have Windows Long Path support enabled.",
         "longer than Windows allows", "--home"),
        ("noise\nERROR: something new\nmore noise", "failed: ERROR: something new", "log"),
        ("", "it said nothing", "log"),
    ],
)  # fmt: skip
def test_what_pip_says_becomes_a_sentence(output: str, sentence: str, way_out: str) -> None:
    stop = running.explain(output, "Installing torch")
    assert stop.message.startswith("Installing torch failed: ")
    assert sentence in stop.message
    assert way_out in stop.hint
    assert not stop.rebuild
    assert running.explain("Installing collected packages: torch\n" + output, "Installing torch").rebuild


@pytest.mark.parametrize(
    ("output", "hint"),
    [("", ""), ("a\n  b \n\n", "b"), ("x\nProgress 5000000 of 20000000", "5 of 20 MB"),
     ("Downloading https://host/a/torch.whl (9 MB)", "Downloading torch.whl (9 MB)"),
     ("Installing collected packages: torch\n  Found existing installation", "unpacking what was downloaded")],
)  # fmt: skip
def test_progress_is_told_in_short(output: str, hint: str) -> None:
    assert running.hint_of(output) == hint

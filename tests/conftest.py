"""What tests share: the real face model, fetched once, and isolated homes.

The model store of the tests is `$KRITA_DRAG_TEST_HOME`, else the user's own, so that nothing is downloaded twice.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

from engine.models import Model, ModelStore
from engine.paths import HOME_VARIABLE

hypothesis.settings.register_profile("krita-drag", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("krita-drag")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells start background jobs deaf to Ctrl-C, and children inherit that: then no test of Ctrl-C could work.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def store() -> ModelStore:
    """A store that has the real models; they are fetched if they are not there yet."""
    chosen = os.environ.get("KRITA_DRAG_TEST_HOME")
    shared = ModelStore(Path(chosen)) if chosen else ModelStore()
    shared.fetch("faces")
    shared.detector_path()
    return shared


@pytest.fixture(scope="session")
def faces_model(store: ModelStore) -> Model:
    """The built-in face model, loaded on the CPU."""
    return store.load("faces")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder of krita-drag, for this test only."""
    folder = tmp_path / "home"
    monkeypatch.setenv(HOME_VARIABLE, str(folder))
    return folder

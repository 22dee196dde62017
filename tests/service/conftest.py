"""What the tests of the service share: a home with a tiny model, and an engine that runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.service import tiny_home
from benchmarks.service.running_engine import Engine, Talker, running


@pytest.fixture(scope="session")
def model_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the tiny model, to be shared."""
    home = tmp_path_factory.mktemp("models")
    tiny_home.install(home)
    return home


@pytest.fixture
def home(tmp_path: Path, model_home: Path) -> Path:
    """An empty data folder with the model, for one engine."""
    return new_home(tmp_path / "home", model_home)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, model_home: Path) -> Iterator[Engine]:
    """An engine for all tests of a file that do it no harm."""
    with running(new_home(tmp_path_factory.mktemp("shared") / "home", model_home)) as engine:
        yield engine.working()


@pytest.fixture
def talker(shared: Engine) -> Iterator[Talker]:
    """A client of the shared engine."""
    client = Talker(shared)
    yield client
    client.close()


def new_home(home: Path, model_home: Path) -> Path:
    """Make a data folder that borrows the models of another."""
    home.mkdir(parents=True)
    (home / "models").symlink_to(model_home / "models")
    return home

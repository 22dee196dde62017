"""The real Krita for the tests of this folder; without Krita they are skipped, but not in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from desktop import PROGRAMS, Desktop
from krita_session import KritaSession, Profile, Start, template_profile
from PIL import Image
from plugin_session import PluginSession, plugin_running

from engine.models import ModelStore


def missing_programs() -> list[str]:
    """Return what these tests need and this machine lacks."""
    return [name for name in ("krita", *PROGRAMS) if shutil.which(name) is None]


@pytest.fixture(scope="session")
def template() -> Profile:
    """A profile to copy; skips where there is no Krita, fails in CI."""
    missing = missing_programs()
    if missing:
        reason = f"not installed: {', '.join(missing)} (the packages are in .ci/run)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return template_profile()


@pytest.fixture(scope="module")
def desktop(template: Profile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desktop]:
    """A desktop for the tests of one module."""
    with Desktop(tmp_path_factory.mktemp("desktop")) as running:
        yield running


@pytest.fixture
def start_krita(template: Profile, desktop: Desktop, tmp_path: Path) -> Iterator[Start]:
    """A function that starts a Krita with a new profile and ends it with the test.

    Keyword arguments are those of KritaSession, and `prepare`, called with the profile before the start.
    """
    with ExitStack() as stack:

        def start(prepare: Callable[[Profile], None] | None = None, **options: object) -> KritaSession:
            folder = tmp_path / f"krita-{len(list(tmp_path.glob('krita-*')))}"
            folder.mkdir()
            profile = template.copy_to(folder / "profile").make()
            if prepare:
                prepare(profile)
            return stack.enter_context(KritaSession(folder, desktop, profile, **options))  # type: ignore[arg-type]

        yield start


@pytest.fixture(scope="session")
def models_folder(store: ModelStore) -> Path:
    """The folder with the real face model."""
    return store.root / "models"


@pytest.fixture
def open_plugin(
    template: Profile, desktop: Desktop, tmp_path: Path, models_folder: Path
) -> Iterator[Callable[..., PluginSession]]:
    """A function that starts Krita with the plugin; keyword arguments are those of `plugin_running`."""
    with ExitStack() as stack:

        def start(**options: Any) -> PluginSession:
            folder = tmp_path / f"plugin-{len(list(tmp_path.glob('plugin-*')))}"
            folder.mkdir()
            options.setdefault("home", tmp_path / "krita-drag")
            return stack.enter_context(plugin_running(template, desktop, folder, models_folder, **options))

        yield start


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut Eileen Collins, 512 x 512 (NASA, public domain)."""
    from skimage import data

    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return path

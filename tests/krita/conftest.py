"""The real Krita for the tests of this folder; without Krita they are skipped, but not in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from desktop import PROGRAMS, Desktop
from krita_session import KritaSession, Profile, template_profile
from plugin_session import PluginSession, install_engine, install_plugin

from engine.models import ModelStore

Start = Callable[..., KritaSession]


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
def open_plugin(start_krita: Start, tmp_path: Path, models_folder: Path) -> Iterator[Callable[..., PluginSession]]:
    """A function that starts Krita with plugin and engine installed and a document open.

    Keyword arguments: `document`; `settings`, choices of the user; `engine`, whether one is installed; `home`.
    At the end each Krita is closed as an artist would, and must neither show a dialog nor crash.
    """
    sessions: list[PluginSession] = []

    def start(
        document: Path | None = None,
        settings: dict[str, object] | None = None,
        engine: bool = True,
        home: Path | None = None,
        **options: object,
    ) -> PluginSession:
        home = home or tmp_path / "krita-drag"
        if engine and not home.exists():
            install_engine(home, models_folder)
        chosen = {"preset": "fast", **(settings or {})}
        krita = start_krita(
            prepare=lambda profile: install_plugin(profile, home, chosen),
            document=document,
            env={"KRITA_DRAG_HOME": str(home), "OMP_NUM_THREADS": "1"},
            **options,
        )
        sessions.append(PluginSession(krita, home))
        return sessions[-1]

    yield start
    for session in sessions:
        if session.krita.running:
            session.no_dialog()
            assert session.krita.quit() == 0, session.krita.printed()
        assert "Traceback" not in session.krita.printed(), session.krita.printed()

"""install.py's own code puts the plugin into a profile, and the real Krita loads it from there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from krita_session import Profile, Start

from engine import krita_finder

SOURCE = Path(__file__).parents[2] / "krita_plugin"
sys.path.insert(0, str(SOURCE))

from installing import plugin  # noqa: E402

DOCKERS = "[docker.windowTitle() for docker in k.dockers() if docker.objectName() == 'krita_drag']"


def places(profile: Profile) -> krita_finder.Profile:
    return krita_finder.Profile("usual", profile.resources, profile.kritarc)


def test_krita_loads_what_was_installed(start_krita: Start, tmp_path: Path) -> None:
    outcomes: list[str] = []

    def install(profile: Profile) -> None:
        outcomes.append(plugin.install(places(profile), SOURCE, tmp_path / "home", lambda vendor: None))

    krita = start_krita(prepare=install)
    assert outcomes == ["installed and switched on"]
    assert krita.run(DOCKERS) != []
    assert "krita_drag" not in krita.printed(), "Krita printed an error of the plugin"
    loaded = krita.run("import krita_drag; answer = krita_drag.__file__")
    assert Path(loaded).is_relative_to(krita.profile.resources / "pykrita" / "krita_drag")
    here = places(krita.profile)
    assert plugin.is_running(here)
    assert plugin.install(here, SOURCE, tmp_path, lambda vendor: None) == "updated; start Krita again to use it"
    assert krita.quit() == 0
    assert not plugin.is_running(here)
    assert krita_finder.plugin_state(here) == "installed, enabled"


def test_kritas_importer_accepts_the_archive(start_krita: Start, tmp_path: Path) -> None:
    archive = tmp_path / "krita_drag.zip"
    plugin.write_archive(SOURCE, archive, lambda vendor: None)
    krita = start_krita()
    assert krita.run(DOCKERS) == []
    imported = (
        "import sys; sys.path.insert(0, '/usr/share/krita/pykrita/plugin_importer')\n"
        "from plugin_importer.plugin_importer import PluginImporter\n"
        "importer = PluginImporter(archive, resources, lambda plugin: True)\n"
        "answer = [plugin['name'] for plugin in importer.import_all()]"
    )
    assert krita.run(imported, archive=str(archive), resources=str(krita.profile.resources)) == ["krita_drag"]
    assert krita.quit() == 0
    shutil.rmtree(krita.profile.resources / "pykrita" / "krita_drag" / "__pycache__", ignore_errors=True)
    installed = krita.profile.resources / "pykrita" / "krita_drag"
    assert sorted(path.name for path in installed.iterdir()) == sorted(
        path.name for path in (SOURCE / "krita_drag").iterdir() if path.name not in ("__pycache__", "py.typed")
    )

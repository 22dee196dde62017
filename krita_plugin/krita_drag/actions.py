"""Every command as an action of Krita, so that it can have a shortcut; none has one by default."""

from __future__ import annotations

from typing import Any, Callable

from .desk import Desk
from .edit import Edit
from .guard import guarded
from .translate import tr

MENU = "tools/scripts/krita_drag"


def _toggle_drag(edit: Edit) -> None:
    (edit.stop if edit.is_stoppable else edit.drag)()


# id -> (text, what it does with the edit in front)
EDIT_ACTIONS: dict[str, tuple[str, Callable[[Edit], None]]] = {
    "krita_drag_prepare": ("Drag: prepare the photo", Edit.prepare),
    "krita_drag_toggle": ("Drag: drag or stop", _toggle_drag),
    "krita_drag_place_points": ("Drag: place points", lambda edit: edit.set_editing(not edit.editing)),
    "krita_drag_delete_point": ("Drag: delete the selected point", Edit.delete_selected),
    "krita_drag_clear_points": ("Drag: delete all points", Edit.clear_markers),
    "krita_drag_undo": ("Drag: undo a drag", lambda edit: edit.go_to(edit.session.shown.undos - 1)),
    "krita_drag_redo": ("Drag: redo a drag", lambda edit: edit.go_to(edit.session.shown.undos + 1)),
    "krita_drag_compare": (
        "Drag: show the model's picture",
        lambda edit: edit.set_show_inverted(not edit.show_inverted),
    ),
    "krita_drag_apply": ("Drag: apply as new layer", Edit.apply),
    "krita_drag_reopen": ("Drag: reopen the edit of this layer", Edit.reopen),
}
DESK_ACTIONS: dict[str, tuple[str, Callable[[Desk], None]]] = {
    "krita_drag_live": ("Drag: live on or off", lambda desk: desk.choose("live", not desk.settings.live)),
    "krita_drag_engine": ("Drag: start the engine", Desk.mend_engine),
}


def create_actions(window: Any, desk: Desk) -> None:
    """Add all commands to a window.

    Args:
        window: Krita's window; it cannot be used later, as Krita deletes what it hands over here.
        desk: what all windows share.
    """
    for name, (text, command) in EDIT_ACTIONS.items():
        window.createAction(name, tr(text), MENU).triggered.connect(_on_edit(desk, command))
    for name, (text, order) in DESK_ACTIONS.items():
        window.createAction(name, tr(text), MENU).triggered.connect(_on_desk(desk, order))


def _on_edit(desk: Desk, command: Callable[[Edit], None]) -> Callable:
    def run() -> None:
        edit = desk.front_edit()
        if edit is not None:
            command(edit)

    return guarded(run)


def _on_desk(desk: Desk, command: Callable[[Desk], None]) -> Callable:
    return guarded(lambda: command(desk))

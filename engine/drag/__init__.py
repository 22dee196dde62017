"""Dragging: move handle points of a generated picture to their targets by changing its latent."""

from engine.drag.live import LiveDrag
from engine.drag.solver import DEFAULT_SOLVER, DEFAULT_STEPS, SOLVERS, drag, require_solver
from engine.drag.state import DragPoints, DragStep

__all__ = ["DEFAULT_SOLVER", "DEFAULT_STEPS", "SOLVERS", "DragPoints", "DragStep", "LiveDrag", "drag", "require_solver"]

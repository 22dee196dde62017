"""Learning rates over the course of a search."""

from __future__ import annotations

import math


def decay(progress: float) -> float:
    """Half a cosine from 1 down to 0, for progress from 0 to 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def late_decay(progress: float) -> float:
    """1 for two thirds of the search, then evenly down to 0."""
    return min(1.0, 3 * (1 - progress))


def warm_up_and_decay(progress: float, warm_up: float) -> float:
    """Rise from 0 to 1 over the first `warm_up` of the search, then `decay` over the rest."""
    return progress / warm_up if progress < warm_up else decay((progress - warm_up) / (1 - warm_up))

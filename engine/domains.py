"""Guess from names what a model's pictures show, and whether photos need the face alignment of FFHQ."""

from __future__ import annotations

import re

UNKNOWN = "unknown"
# first match wins: pattern -> what the pictures show, whether photos must be aligned like FFHQ
_PATTERNS = (
    (r"metfaces-?u", "painted faces", False),
    (r"metfaces", "painted faces", True),
    (r"ffhq-?u", "faces", False),
    (r"ffhq|celeba-?hq", "faces", True),
    (r"afhq-?v?2?-?cat|lsun-?cat|\bcats?\b", "cats", False),
    (r"afhq-?v?2?-?dog|lsun-?dog|\bdogs?\b", "dogs", False),
    (r"afhq-?v?2?-?wild", "wild animals", False),
    (r"afhq", "animal faces", False),
    (r"\bcars?\b|lsun-?car", "cars", False),
    (r"\bhorses?\b|lsun-?horse", "horses", False),
    (r"\bchurch(es)?\b|lsun-?church", "churches", False),
    (r"stylegan[-_]?human|\bshhq\b|\bhumans?\b", "people, from head to foot", False),
    (r"brecahad|microscopy", "microscopy", False),
    (r"\blhq\b|landscapes?", "landscapes", False),
    (r"\b(lions?|elephants?|giraffes?|parrots?|bicycles?)\b", "", False),
)


def guess(*names: str) -> tuple[str, bool]:
    """Guess from the names of a file and of what it was trained on.

    Returns:
        What the pictures show, "unknown" where nothing tells, and whether photos need the alignment.
    """
    for name in names:
        words = re.sub(r"[_\W]+", " ", name.lower()).strip().replace(" ", "-")
        for pattern, domain, aligned in _PATTERNS:
            if match := re.search(pattern, words):
                return domain or match[0], aligned
    return UNKNOWN, False

"""From a photo to a latent: where the model's square lies in it, and what the model must be told to draw it."""

from engine.inversion.frame import crop_from_corners, find_crop
from engine.inversion.invert import Inversion, drive, invert, inverting
from engine.inversion.presets import DEFAULT_PRESET, PRESETS, Preset, find_preset
from engine.inversion.snapshot import Snapshot
from engine.inversion.steps import InversionStep

__all__ = [
    "DEFAULT_PRESET",
    "PRESETS",
    "Inversion",
    "InversionStep",
    "Preset",
    "Snapshot",
    "crop_from_corners",
    "drive",
    "find_crop",
    "find_preset",
    "invert",
    "inverting",
]

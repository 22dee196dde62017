"""From a photo to a latent: where the model's square lies in it, and what the model must be told to draw it."""

from engine.inversion.frame import find_crop
from engine.inversion.invert import DEFAULT_STEPS, Inversion, invert
from engine.inversion.project import InversionStep

__all__ = ["DEFAULT_STEPS", "Inversion", "InversionStep", "find_crop", "invert"]

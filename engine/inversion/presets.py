"""How much work an inversion does: three presets, measured in docs/inversion.md."""

from __future__ import annotations

from dataclasses import dataclass

from krita_drag.wire.errors import BadOption

DEFAULT_PRESET = "balanced"


@dataclass(frozen=True)
class Preset:
    """Steps of the stages of an inversion.

    Attributes:
        latent: steps that move the latent.
        tuning: then, for every entry, (side of the features that are read, steps) of tuning the weights.
    """

    latent: int
    tuning: tuple[tuple[int, int], ...]

    @property
    def steps(self) -> int:
        """Steps of all stages together."""
        return self.latent + sum(steps for _, steps in self.tuning)

    def scaled(self, steps: int) -> Preset:
        """Share another number of steps out over the stages, at least one of them to the latent.

        Raises:
            BadOption: fewer steps than one.
        """
        if steps < 1:
            raise BadOption(
                "An inversion takes at least one step.", f"The usual number is {PRESETS[DEFAULT_PRESET].steps}."
            )
        tuning = tuple((px, steps * share // self.steps) for px, share in self.tuning)
        return Preset(steps - sum(share for _, share in tuning), tuning)


PRESETS = {
    "fast": Preset(40, ((128, 40),)),
    "balanced": Preset(50, ((128, 50), (256, 50))),
    "best": Preset(60, ((128, 60), (256, 40), (512, 75))),
}


def find_preset(name: str, steps: int | None = None) -> Preset:
    """Look a preset up.

    Args:
        name: of the preset.
        steps: share these out in its proportions instead of its own number.

    Raises:
        BadOption: no preset has that name, or fewer steps than one.
    """
    if name not in PRESETS:
        raise BadOption(f"There is no preset called “{name}”.", f"Choose one of {', '.join(PRESETS)}.")
    return PRESETS[name] if steps is None else PRESETS[name].scaled(steps)

"""Where a sample's state of charge comes from: the study's table charging."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from phantom import InputError


@dataclass(frozen=True)
class Charging:
    """Where the bulk fractions come from, and whether they change during the scan."""

    source: Annotated[
        Literal["front", "cell"],
        Meta(description="'front': front.fraction, for all particles; 'cell': the charge of the cell"),
    ] = "front"
    mean_fraction: Annotated[
        float, Meta(gt=0, le=1, description="share of the cell's iron that is Fe3+ at the middle of the scan")
    ] = 0.5
    moving: Annotated[bool, Meta(description="the current stays on during the scan; else it pauses and the sample is frozen")] = (
        False
    )
    imaged: Annotated[
        Literal["mean", "own"],
        Meta(description="an imaged particle is as far as the cell's mean, or at its 'own' state, by its size and barrier"),
    ] = "mean"
    states: Annotated[
        Annotated[int, Meta(ge=3, le=200)] | Literal["auto"],
        Meta(
            description="states that are projected for a moving sample, frames interpolate between them; 'auto': so many that "
            "the front moves about a quarter of a pixel from one to the next"
        ),
    ] = "auto"

    def check(self) -> None:
        """InputError for settings that only a cell gives a meaning."""
        if self.source == "front" and (self.moving or self.imaged == "own"):
            name, value = ("moving", "true") if self.moving else ("imaged", "'own'")
            raise InputError(
                f"charging.{name}: is {value}, but charging.source is 'front', which knows one fraction and no time; "
                "allowed with source = 'cell'; set that, or leave it out"
            )

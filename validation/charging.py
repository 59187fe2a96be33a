"""Where a sample's state of charge comes from: the study's table charging."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta


@dataclass(frozen=True)
class Charging:
    """Where the bulk fractions come from, and whether they change during the scan."""

    source: Annotated[
        Literal["front", "cell"],
        Meta(description="'front': front.fraction, for all particles; 'cell': the charge of the cell"),
    ] = "front"
    mean_fraction: Annotated[
        float, Meta(ge=0, le=1, description="share of the cell's iron that is Fe3+ at the middle of the scan")
    ] = 0.5
    moving: Annotated[bool, Meta(description="the current stays on during the scan; else it pauses and the sample is frozen")] = (
        False
    )
    imaged: Annotated[
        Literal["mean", "own"],
        Meta(description="an imaged particle is as far as the cell's mean, or at its 'own' state, by its size and barrier"),
    ] = "mean"
    states: Annotated[
        int,
        Meta(
            ge=2,
            le=200,
            description="states that are projected for a moving sample; frames interpolate between them",
            extra={"source": "guess: the front should move less than a pixel from one to the next"},
        ),
    ] = 5

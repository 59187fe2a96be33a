"""The choices of an analysis: a study's table `analysis`, or the options of the command `analyze`."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from instrument.measurement import InputError

from .align.alignment import Align
from .prepare.prepared import Preparation
from .reconstruct.fbp import Filter
from .spectra.combination import Background
from .spectra.constraints import Constraint

Method = Literal["image", "projection", "joint"]
Engine = Literal["fbp", "cgls", "sirt", "tv", "tomopy"]
Algorithm = Literal["gridrec", "sirt", "mlem"]


@dataclass(frozen=True)
class Analysis:
    """Choices of the analysis."""

    method: Annotated[
        Method,
        Meta(
            description="order of the steps: 'image' reconstructs every energy, then fits every voxel; 'projection' fits every "
            "ray, then reconstructs the species' maps; 'joint' fits every ray, then finds the species' maps together that agree "
            "with all rays by their noise, are not negative, and have the least total variation"
        ),
    ] = "image"
    engine: Annotated[
        Engine,
        Meta(
            description="'fbp', filtered backprojection; 'cgls', least squares stopped at the noise; 'sirt', the same, not "
            "negative; 'tv', least squares with total variation, not negative; or 'tomopy', which must be installed "
            "(environment.yml)"
        ),
    ] = "fbp"
    algorithm: Annotated[
        Algorithm,
        Meta(
            description="of the engine tomopy; 'art', 'osem', 'grad' and 'tikh' are left out, as they do not reproduce an "
            "analytic particle, 'tv' and 'pml', as they have no rule for their weight"
        ),
    ] = "gridrec"
    window: Annotated[
        Filter, Meta(description="window on the ramp filter: 'ramp' keeps all frequencies, the others trade resolution for noise")
    ] = "cosine"
    background: Annotated[
        Background, Meta(description="fitted beside the standards: 'none', 'constant', or 'linear' in energy")
    ] = "constant"
    constraint: Annotated[
        Constraint,
        Meta(
            description="on the amounts in a voxel, with method 'image': 'free', 'nonnegative', 'sum-one' (full of iron), "
            "'mixture' (both)"
        ),
    ] = "free"
    weights: Annotated[
        Literal["energy", "ray"],
        Meta(
            description="of the energies in a fit: one set for all, or, with method 'projection', each ray's own by its counts; "
            "an iterative engine then weighs each ray, else each view"
        ),
    ] = "energy"
    unexplained: Annotated[
        bool, Meta(description="flag voxels that no mixture of the standards explains, with method 'image'")
    ] = True
    prepare: Preparation = field(default_factory=Preparation)
    align: Align = field(default_factory=Align)

    def check(self, series: bool = False) -> None:
        """InputError for choices that exclude each other."""
        if self.method != "image" and self.constraint != "free":
            raise InputError(
                f"analysis.constraint: found {self.constraint} with method {self.method}; allowed is free, or method image"
            )
        if self.method != "projection" and self.weights != "energy":
            raise InputError(
                f"analysis.weights: found {self.weights} with method {self.method}; allowed is energy, or method projection"
            )
        if self.engine != "tomopy" and self.algorithm != "gridrec":
            raise InputError(
                f"analysis.algorithm: found {self.algorithm} with engine {self.engine}; allowed is gridrec, or engine tomopy"
            )
        if self.method == "joint" and self.engine != "fbp":
            raise InputError(
                f"analysis.engine: found {self.engine} with method joint, which has its own; allowed is fbp, or another method"
            )
        if series and self.method != "image":
            raise InputError(
                f"analysis.method: found {self.method} for a series, which sees one view; allowed is image; leave it out"
            )
        if series and (self.align.is_wanted or self.prepare.rings != "none"):
            raise InputError(
                "analysis: align and prepare.rings need a sample that turns; allowed for a series is none of them; leave them out"
            )

"""What is wanted of a scan."""

from dataclasses import dataclass
from typing import Literal

from phantom import InputError

from .practical import Limits
from .problem import FRACTIONS

Budget = Literal["dose", "photons", "time"]

_SIGMAS = (0.001, 0.3)
UNKNOWNS = 4


@dataclass(frozen=True)
class Wish:
    """What is wanted of a scan.

    `sigma` is the rms error of x by noise in a voxel of the interior; without it the plan takes the dose or hours it may, or
    the study's own dose. `budget` is what the energies are chosen to spare. `equal` asks for one exposure at all energies,
    `third` for precision in spite of a third phase of the library ('hematite' or 'hematite=0.1'). `spacing_eV` and `least_share`
    are a monochromator's and a shutter's: guesses; `shortest_s` is FXI's 20 ms a projection (Coburn et al. 2019). `fractions` are
    the phase fractions to be told, all alike by default.
    """

    sigma: float | None = None
    voxel_um: float | None = None
    max_dose_MGy: float | None = None
    max_hours: float | None = None
    points: int | None = None
    flats: int | None = None
    equal: bool = False
    criterion: Literal["c", "A", "D"] = "c"
    budget: Budget | None = None
    third: str | None = None
    fractions: tuple[float, ...] = FRACTIONS
    spacing_eV: float = 2.0
    least_share: float = 0.04
    condition: float = 300.0
    shortest_s: float = 0.02

    @property
    def spared(self) -> Budget:
        """What the energies are chosen to spare: time where only hours are limited, else dose."""
        return self.budget or ("time" if self.max_hours is not None and self.max_dose_MGy is None else "dose")

    @property
    def unknowns(self) -> int:
        """Of the fit: two amounts, a constant and a slope; a third phase."""
        return UNKNOWNS + (self.third is not None)

    @property
    def limits(self) -> Limits:
        """What the practical design keeps to; two energies more than unknowns, so that there is a chi2."""
        return Limits(self.points or self.unknowns + 2, self.spacing_eV, self.least_share, self.condition, self.equal)

    def check(self) -> None:
        """InputError for a wish that no scan could fulfil."""
        for option, value, low, high in (
            ("--sigma", self.sigma, *_SIGMAS),
            ("--voxel", self.voxel_um, 0.001, 10.0),
            ("--max-dose-MGy", self.max_dose_MGy, 1e-6, 1e9),
            ("--max-hours", self.max_hours, 1e-6, 1e5),
            ("--flats", self.flats, 2, 1000),
            ("--spacing", self.spacing_eV, 0.5, 20.0),
            ("--points", self.points, self.unknowns + 2, 30),
        ):
            if value is not None and not low <= value <= high:
                why = f", two more than the {self.unknowns} unknowns," if option == "--points" else ""
                raise InputError(f"{option}: found {value:g}; allowed is {low:g}{why} to {high:g}")
        for name, word, words in (
            ("criterion", self.criterion, ("c", "A", "D")),
            ("budget", self.budget, (None, "dose", "photons", "time")),
        ):
            if word not in words:
                raise InputError(f"{name}: found {word!r}; allowed are {', '.join(map(repr, words))}")
        if not isinstance(self.third, str | None):
            raise InputError(f"third: found {self.third!r}; allowed is a name of the library, or NAME=SHARE")
        if not self.fractions or not all(0 <= x <= 1 for x in self.fractions):
            raise InputError(f"--fractions: found {self.fractions}; allowed are phase fractions from 0 to 1")

"""A design with as many photons as a wish asks for."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from phantom import InputError

from ..coarse import Coarse
from ..study import Study
from .foretell import foretell
from .practical import Practical
from .problem import Scene
from .scan import diameter_um, dose_MGy, hours, scan_of, views_for, with_voxel
from .wish import Wish

_TRIES = 4
_FEWEST_VOXELS = 8  # across the sample


@dataclass(frozen=True)
class _Limit:
    """An option, its value, and the factor of photons that it allows."""

    option: str
    value: float
    factor: float


@dataclass(frozen=True)
class Scaled:
    """The chosen design with more or fewer photons."""

    base: Study
    coarse: Coarse
    scene: Scene
    chosen: Practical
    wish: Wish

    def at(self, factor: float) -> Study:
        """The study with so many times the study's own photons, all energies together."""
        price = self.scene.price_of(self.wish.spared)[self.chosen.numbers]
        split = self.chosen.shares / price
        total = self.base.beam.photons_per_pixel * float(self.base.scan.clock.light.sum())
        photons = factor * total * split / split.sum()
        return scan_of(self.base, self.scene.energies_eV[self.chosen.numbers], photons, self.wish.shortest_s)

    def error(self, factor: float) -> float:
        """Foretold rms error of x."""
        return foretell(self.coarse, self.at(factor)).rms

    def dose(self, factor: float) -> float:
        """MGy."""
        return dose_MGy(self.coarse, self.at(factor))

    def wanted(self, own_dose_MGy: float) -> float:
        """The factor that the wish asks for; the study's own dose without one. Raises InputError where its limits forbid it."""
        wish = self.wish
        allowed = self.allowed
        if wish.sigma is None:
            return min((limit.factor for limit in allowed), default=solved(self.dose, own_dose_MGy, 1.0))
        needed = solved(lambda k: self.error(k) ** -2, wish.sigma**-2, 1.0)
        for limit in allowed:
            if needed > limit.factor * 1.001:
                raise InputError(self._refusal(limit, wish.sigma, needed))
        return needed

    @property
    def allowed(self) -> list[_Limit]:
        """The most photons that dose and hours allow."""
        wish, found = self.wish, []
        if wish.max_dose_MGy is not None:
            found.append(_Limit("--max-dose-MGy", wish.max_dose_MGy, solved(self.dose, wish.max_dose_MGy, 1.0)))
        if wish.max_hours is not None:
            idle = self.at(1.0)
            idle = replace(idle, scan=replace(idle.scan, exposures_s=(), exposure_s=wish.shortest_s))
            if wish.max_hours <= hours(idle):
                raise InputError(
                    f"--max-hours: found {wish.max_hours:g}; {idle.scan.angles} views at {len(self.chosen.numbers)} energies "
                    f"take {hours(idle):.2g} h at {1000 * wish.shortest_s:g} ms each; allowed is more, or a larger --voxel"
                )
            found.append(_Limit("--max-hours", wish.max_hours, solved(lambda k: hours(self.at(k)), wish.max_hours, 1.0)))
        return found

    def with_voxel(self, voxel_um: float) -> "Scaled":
        """The same energies in other voxels, with the views that these need."""
        base = with_voxel(self.base, voxel_um)
        angles = views_for(base, diameter_um(self.coarse))
        return replace(self, base=replace(base, scan=replace(base.scan, angles=angles)))

    def _refusal(self, limit: _Limit, sigma: float, needed: float) -> str:
        """What would be possible."""
        takes = f"{self.dose(needed):.3g} MGy" if "dose" in limit.option else f"{hours(self.at(needed)):.3g} h"
        return (
            f"--sigma: {sigma:.3g} in voxels of {1000 * self.base.scan.pixel_um:.0f} nm takes {takes}, found {limit.option} "
            f"{limit.value:.3g}; that allows {self._possible(limit, sigma, needed)}"
        )

    def within(self, dose_MGy: float, sigma: float, needed: float) -> str:
        """What a dose would allow instead of a factor `needed`."""
        lower = replace(self, wish=replace(self.wish, max_dose_MGy=dose_MGy, max_hours=None))
        return lower._possible(lower.allowed[0], sigma, needed)

    def _possible(self, limit: _Limit, sigma: float, needed: float) -> str:
        """The sigma that a limit leaves, and the voxel with which the wanted one can be had."""
        text = f"a sigma of {self.error(limit.factor):.2g}"
        # Noise goes with the voxel's size to the power -2 at equal light.
        wide = self.base.scan.pixel_um * (needed / limit.factor) ** 0.25
        for _ in range(_TRIES):
            if wide > diameter_um(self.coarse) / _FEWEST_VOXELS:
                break
            larger = self.with_voxel(wide)
            factor = next(other.factor for other in larger.allowed if other.option == limit.option)
            reached = larger.error(factor)
            if reached <= sigma:
                return f"{text}, or {sigma:.3g} in voxels of {1000 * wide:.0f} nm"
            wide *= 1.02 * np.sqrt(reached / sigma)
        return text


def solved(value: Callable[[float], float], wanted: float, start: float) -> float:
    """Where a rising function of a factor has the wanted value: fixed-point steps, then bisection of its logarithm."""
    low, high, factor = 0.0, np.inf, start
    for step in range(40):
        here = value(factor)
        if abs(here / wanted - 1) < 3e-4:
            break
        low, high = (max(low, factor), high) if here < wanted else (low, min(high, factor))
        guess = factor * wanted / here
        inside = low < guess < high and step < 8
        factor = guess if inside or not np.isfinite(high) or low == 0 else float(np.sqrt(low * high))
    return factor

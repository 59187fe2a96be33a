"""A design with as many photons as a wish asks for."""

from dataclasses import dataclass, replace

import numpy as np

from phantom import InputError

from ..coarse import Coarse
from ..study import Study
from .foretell import foretell
from .practical import Practical
from .problem import Scene
from .scan import dose_MGy, hours, in_voxels, scan_of, voxels_um
from .solving import OutOfReach, solved
from .wish import Wish

_TRIES = 4
_OVER = 1.001
_SAFE = 1 - 5e-4  # of a limit, so that what is found lies within


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
        energies, shortest = self.scene.energies_eV[self.chosen.numbers], self.wish.shortest_s
        return scan_of(self.base, energies, photons, shortest, dim=self.wish.spared != "time")

    def error(self, factor: float) -> float:
        """Foretold rms error of x."""
        return foretell(self.coarse, self.at(factor)).rms

    def dose(self, factor: float) -> float:
        """MGy."""
        return dose_MGy(self.coarse, self.at(factor))

    def wanted(self) -> float:
        """The factor that the wish asks for, or that of the study's own dose. Raises InputError where limits forbid it."""
        sigma, allowed = self.wish.sigma, self.allowed
        if sigma is None:
            return min(limit.factor for limit in allowed) if allowed else self._of_dose(self.coarse.dose_MGy)
        try:
            needed = solved(lambda k: self.error(k) ** -2, sigma**-2, 1.0)
        except OutOfReach as end:
            if not end.bright:  # a photon per pixel is better than that
                return end.factor
            raise InputError(
                f"--sigma: found {sigma:.3g}; what beam, wells, 10000 views and 1000 flats allow ends at a sigma of "
                f"{self.error(end.factor):.3g}; allowed is that or more, a larger --voxel, or fewer --flats"
            ) from None
        for limit in allowed:
            if needed > limit.factor * 1.001:
                raise InputError(self._refusal(limit, sigma, needed))
        return needed

    @property
    def allowed(self) -> list[_Limit]:
        """The most photons that dose and hours allow."""
        wish, found = self.wish, []
        if wish.max_dose_MGy is not None:
            factor = self._of_dose(_SAFE * wish.max_dose_MGy)
            if self.dose(factor) > wish.max_dose_MGy * _OVER:
                raise InputError(
                    f"--max-dose-MGy: found {wish.max_dose_MGy:.3g}; without a filter exposures of {1000 * wish.shortest_s:g} ms "
                    f"take {self.dose(factor):.3g}; allowed is that, --spare dose, --equal or a larger --max-hours"
                )
            found.append(_Limit("--max-dose-MGy", wish.max_dose_MGy, factor))
        if wish.max_hours is not None:
            energies = tuple(map(float, self.scene.energies_eV[self.chosen.numbers]))
            short = replace(self.base.scan, energies_eV=energies, exposures_s=(), exposure_s=wish.shortest_s)
            idle = replace(self.base, scan=short)
            if wish.max_hours <= hours(idle):
                raise InputError(
                    f"--max-hours: found {wish.max_hours:g}; {idle.scan.angles} views at {len(self.chosen.numbers)} energies "
                    f"take {hours(idle):.3g} h at {1000 * wish.shortest_s:g} ms each; allowed is more than that, a larger "
                    "--voxel, or fewer --flats"
                )
            try:
                factor = solved(lambda k: hours(self.at(k)), _SAFE * wish.max_hours, 1.0)
            except OutOfReach as end:
                factor = end.factor
            if hours(self.at(factor)) > wish.max_hours * _OVER:
                raise InputError(
                    f"--max-hours: found {wish.max_hours:g}; these energies, each with its own exposure, take "
                    f"{hours(self.at(factor)):.3g} h or more; allowed is that, --equal or --spare time"
                )
            found.append(_Limit("--max-hours", wish.max_hours, factor))
        return found

    def _of_dose(self, wanted_MGy: float) -> float:
        """The factor that leaves a dose, or the brightest that can be. Raises InputError for less than a photon per pixel."""
        try:
            return solved(self.dose, wanted_MGy, 1.0)
        except OutOfReach as end:
            if end.bright:
                return end.factor
            raise InputError(
                f"--max-dose-MGy: found {wanted_MGy:.3g}; a detected photon per pixel and projection takes "
                f"{self.dose(end.factor):.2g}; allowed is more"
            ) from None

    def with_voxel(self, voxel_um: float) -> "Scaled":
        """The same energies in other voxels, with the views that these need."""
        return replace(self, base=in_voxels(self.base, self.coarse, voxel_um))

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
            if wide > voxels_um(self.base, self.coarse)[1]:
                break
            try:
                larger = self.with_voxel(wide)
                reached = larger.error(next(other.factor for other in larger.allowed if other.option == limit.option))
            except InputError:
                break
            if reached <= sigma:
                return f"{text}, or {sigma:.3g} in voxels of {1000 * wide:.0f} nm"
            wide *= 1.02 * np.sqrt(reached / sigma)
        return text

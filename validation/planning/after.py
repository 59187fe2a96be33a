"""What a first tomogram leaves to do: the sample as its map shows it, and what the light so far has told."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from analysis.result import AmountMap
from instrument.projector import project_slabs
from phantom import InputError

from ..coarse import Coarse
from ..files import read_map
from ..scores.compared import interior
from ..scores.grids import average_onto
from ..study import Study
from ..trial import resolution_um
from .scan import dose_MGy
from .wish import Wish

Array = NDArray[np.float64]

_SMOOTHING_PX = 1.5
_COLUMNS, _VIEWS = 96, 12
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Before:
    """A map made before, smoothed to one of iron and phase fraction; its `sigma`, rms over the interior, in voxels of `voxel_um`.

    `dose_MGy` and `hours` are what it took, None where its folder does not say.
    """

    map: AmountMap
    sigma: float
    voxel_um: float
    dose_MGy: float | None
    hours: float | None

    def sigma_in(self, study: Study) -> float:
        """Sigma in the voxels of a study: at equal light it goes with the voxel's size to the power -2."""
        return self.sigma * (self.voxel_um / study.scan.pixel_um) ** 2

    def left(self, wish: Wish, study: Study) -> Wish:
        """What is left of a wish, for the phase fractions that were found. Raises InputError where nothing is."""
        known, sigma = self.sigma_in(study), wish.sigma
        if sigma is not None:
            if known <= sigma:
                raise InputError(
                    f"--after: its map has a sigma of {known:.3g} in voxels of {1000 * study.scan.pixel_um:.0f} nm, found "
                    f"--sigma {sigma:g}; nothing is left to do; allowed is less"
                )
            sigma = float((sigma**-2 - known**-2) ** -0.5)
        dose = _rest("--max-dose-MGy", wish.max_dose_MGy, self.dose_MGy)
        hours = _rest("--max-hours", wish.max_hours, self.hours)
        x = self.map.phase_fraction[self.map.iron >= 0.5]
        fractions = tuple(sorted({round(float(value), 2) for value in np.quantile(x, _QUANTILES)}))
        return replace(wish, sigma=sigma, fractions=fractions, max_dose_MGy=dose, max_hours=hours)

    def coarse(self, study: Study) -> Coarse:
        """The map as a sample, seen from a few views."""
        z, y, x = self.map.shape
        pitch = max(self.map.voxel_um, max(y, x) * self.map.voxel_um / _COLUMNS)
        count = 2 * int(np.ceil(max(y, x) * self.map.voxel_um / pitch / 2))
        rows = 2 * int(np.ceil(z * self.map.voxel_um / pitch / 2))
        truth = average_onto(self.map, (rows, count, count), pitch, np.zeros(3))
        angles = np.deg2rad(np.linspace(study.scan.first_angle_deg, study.scan.last_angle_deg, _VIEWS))
        paths = np.stack([project_slabs(part, angles, pitch, np.zeros(1))[0] for part in truth.amounts])
        corner = (-(rows - 1) / 2 * pitch, -(count - 1) / 2 * pitch)
        seen = replace(truth, resolution_um=resolution_um(study))
        volume = float(truth.iron.sum(dtype=float)) * pitch**3
        diameter = float((6 / np.pi * volume) ** (1 / 3))
        found = Coarse(study, paths, angles, pitch, corner, seen, (), 0.0, 1, 1, (diameter,), count * pitch)
        return replace(found, dose_MGy=dose_MGy(found, study))


def _rest(option: str, limit: float | None, spent: float | None) -> float | None:
    """What a limit leaves. Raises InputError where that is nothing."""
    if limit is None or spent is None:
        return limit
    if spent >= limit:
        raise InputError(f"{option}: found {limit:g}; the map before took {spent:.3g}; allowed is more")
    return limit - spent


def before(path: Path) -> Before:
    """A run's or an analysis' folder, or a result file. Raises InputError for what is none, or states no sigma."""
    place = path / "result.h5" if path.is_dir() else path
    found = read_map(place)
    if found.is_series or set(found.species) != {"LFP", "FP"}:
        raise InputError(
            f"{place}: holds {', '.join(found.species)} over {found.axes}; allowed is a map of LFP and FP over z:y:x"
        )
    if found.phase_fraction_sigma is None:
        raise InputError(f"{place}: states no phase_fraction_sigma; allowed is a map with its sigma")
    order = [found.species.index(name) for name in ("LFP", "FP")]
    smooth = np.stack([gaussian_filter(np.nan_to_num(found.amounts[k]), _SMOOTHING_PX) for k in order])
    iron = smooth.sum(axis=0)
    particle = iron >= 0.5
    if particle.sum() < 100:
        raise InputError(f"{place}: {particle.sum()} voxels hold iron; allowed are 100 or more; is it a map of a particle?")
    x = np.where(particle, np.clip(smooth[1] / np.where(particle, iron, 1), 0, 1), 0)
    shape = AmountMap(("LFP", "FP"), np.stack([1 - x, x]).astype(np.float32), found.voxel_um, found.resolution_um)
    deep = interior(shape, particle, particle & (x < 0.5))
    deep = deep if deep.any() else particle
    # Smoothing thins the iron out towards the surface: what is deep inside is what there is.
    clean = replace(shape, amounts=shape.amounts * (particle * np.float32(np.median(iron[deep]))))
    sigma = found.phase_fraction_sigma[deep]
    sigma = sigma[np.isfinite(sigma)]
    if not sigma.size:
        raise InputError(f"{place}: phase_fraction_sigma is finite in no voxel of the particle; allowed is a map with its sigma")
    dose, seconds = _spent(path / "scores.json" if path.is_dir() else path.with_name("scores.json"))
    rms = float(np.sqrt(np.mean(np.minimum(sigma, 1.0) ** 2)))
    return Before(clean, rms, found.voxel_um, dose, None if seconds is None else seconds / 3600)


def _spent(path: Path) -> tuple[float | None, float | None]:
    """Dose, MGy, and duration, s, of a run."""
    try:
        stored = json.loads(path.read_text())
        values = [stored.get(name) for name in ("dose_MGy", "scan_time_s")]
    except (OSError, ValueError, AttributeError):
        return None, None
    dose, seconds = (float(value) if isinstance(value, (int, float)) and np.isfinite(value) else None for value in values)
    return dose, seconds

"""Scans whose maps are known exactly: clouds of two species before a beam, in the files that a run leaves."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from instrument.attenuation import attenuation_per_um
from instrument.files.native import new_scan
from instrument.files.text import write_spectrum
from instrument.measurement import Header, Spectrum
from instrument.standards import standard_energies
from instrument.xanes import parametric
from phantom import FP, LFP

from .scenes import Scene

Array = NDArray[np.float64]
Counts = NDArray[np.uint16]

SPECIES = {"LFP": LFP, "FP": FP}
_AMOUNT_UM = 4.0  # of a scene's 1/um: amounts peak near 1, the darkest ray near an optical depth of 1
_DARK_ADU = 2000  # much, so that it cannot be forgotten
_LIGHT_ADU = 16000  # three times as much is still no full scale
_READING_ADU = 2.0
_FLATS = _DARKS = 16


@dataclass(frozen=True)
class Frames:
    """What a beamline hands over; counts (energy, frame, row, column), standards by the species' name."""

    energies_eV: Array
    angles_rad: Array
    center_px: float
    pixel_um: float
    projections: Counts
    flats: Counts
    darks: Counts
    standards: dict[str, Spectrum]

    def of_counts(self, change: Callable[[Counts], Counts]) -> "Frames":
        """The same scan, its projections, flats and darks changed alike."""
        projections, flats, darks = (change(counts) for counts in (self.projections, self.flats, self.darks))
        return replace(self, projections=projections, flats=flats, darks=darks)

    def energies_in_order(self, order: NDArray[np.intp]) -> "Frames":
        """The same energies, taken in another order."""
        return replace(self.of_counts(lambda counts: counts[order]), energies_eV=self.energies_eV[order])

    def views_in_order(self, order: NDArray[np.intp]) -> "Frames":
        """The same views, taken in another order."""
        return replace(self, angles_rad=self.angles_rad[order], projections=self.projections[:, order])

    def write(self, scan_path: Path, standards_folder: Path) -> dict[str, str]:
        """The scan file and a file of each standard; the standards' paths by species."""
        energies, views = self.projections.shape[:2]
        every_s = 1.0 * np.arange(energies * (views + _FLATS)).reshape(energies, -1)  # flats first, then the projections
        header = Header(
            self.energies_eV,
            self.angles_rad,
            every_s[:, _FLATS:],
            np.full(energies, self.pixel_um),
            self.center_px,
            np.full(energies, 0.5),
            (self.projections.shape[2], self.projections.shape[3]),
            _FLATS,
            _DARKS,
            flats_s=every_s[:, :_FLATS],
        )
        with new_scan(scan_path, header) as scan:
            scan.projections[...], scan.flats[...], scan.darks[...] = self.projections, self.flats, self.darks
        paths = {name: standards_folder / f"{name}.txt" for name in self.standards}
        for name, path in paths.items():
            write_spectrum(path, self.standards[name], SPECIES[name].density_g_cm3)
        return {name: str(path) for name, path in paths.items()}


@dataclass(frozen=True)
class Clouds:
    """A sample of Gaussian clouds of LFP and of FP, and how it is scanned: `rows` x `columns` pixels, `views` over half a turn.

    `photons` are detected in a pixel of the open beam at the brightest energy, with their noise and the camera's; 0 is as many as
    one likes, and only digits are rounded. The beam differs by up to ten times between energies. `seed` draws all, `repeat` the
    noise alone.
    """

    rows: int = 4
    columns: int = 32
    views: int = 30
    energies: int = 5
    offset_px: float = 0.0
    first_deg: float = 0.0
    pixel_um: float = 0.5
    photons: float = 0.0
    seed: int = 0
    repeat: int = 0

    def scene(self, species: int) -> Scene:
        """Clouds of the first or the second species."""
        place = self.rows, self.columns, self.views, self.offset_px, self.first_deg, self.pixel_um
        return Scene(*place, seed=2 * self.seed + species)

    @property
    def energies_eV(self) -> Array:
        """Closer together at the edge, to 0.1 eV as a monochromator is set."""
        share = np.linspace(-1, 1, self.energies)
        return np.asarray(np.round(7127 + 12 * share + 25 * share**3, 1))

    def amounts(self) -> Array:
        """(species, z, y, x) of LFP and FP."""
        return _AMOUNT_UM * np.stack([self.scene(species).volume() for species in (0, 1)])

    def spectrum(self, name: str, energies_eV: Array) -> Spectrum:
        """A species' attenuation at LFP's iron density, without noise."""
        formula = SPECIES[name].formula
        mu = attenuation_per_um(formula, LFP.iron_mol_cm3, energies_eV, parametric(name)(energies_eV))
        return Spectrum(name, energies_eV, mu, formula=formula)

    def depth(self) -> Array:
        """Optical depth (energy, angle, row, column)."""
        mu = np.array([self.spectrum(name, self.energies_eV).mu for name in SPECIES])
        paths = _AMOUNT_UM * np.stack([self.scene(species).rays() for species in (0, 1)])
        return np.asarray(np.einsum("se,srau->earu", mu, paths))

    def frames(self, depth: Array | None = None) -> Frames:
        """The scan of the sample, or of what else has `depth` (energy, angle, row, column)."""
        rng = np.random.default_rng([self.seed, 1])
        shape = (self.energies, self.rows, self.columns)
        bright = 10 ** rng.uniform(-1, 0, (self.energies, 1, 1)) * rng.uniform(0.8, 1, shape)  # of the brightest pixel
        dark = rng.integers(_DARK_ADU - 20, _DARK_ADU + 20, shape)
        noise = np.random.default_rng([self.seed, 2, self.repeat])

        def counted(light: Array, frames: int) -> Counts:
            every = (self.energies, frames, *shape[1:])
            seen = _LIGHT_ADU * np.broadcast_to(light, every)
            if self.photons:
                adu = _LIGHT_ADU / self.photons
                seen = adu * noise.poisson(seen / adu) + noise.normal(0, _READING_ADU, every)
            return np.asarray(np.rint(dark[:, None] + seen), np.uint16)

        # In this order: a sample's noise is then that of air in flats and darks.
        flats, darks = counted(bright[:, None], _FLATS), counted(np.zeros(shape)[:, None], _DARKS)
        through = bright[:, None] * np.exp(-(self.depth() if depth is None else depth))
        energies = standard_energies(self.energies_eV.tolist())
        return Frames(
            self.energies_eV,
            self.scene(0).angles_rad,
            self.scene(0).center_px,
            self.pixel_um,
            counted(through, self.views),
            flats,
            darks,
            {name: self.spectrum(name, energies) for name in SPECIES},
        )


def clouds(**fixed: st.SearchStrategy[object]) -> st.SearchStrategy[Clouds]:
    """Small scans of odd and even sizes without noise, any first angle, any axis within two pixels of the middle."""
    parts: dict[str, st.SearchStrategy[object]] = {
        "rows": st.integers(4, 6),
        "columns": st.integers(32, 40),
        "views": st.integers(30, 45),
        "energies": st.integers(5, 7),
        "offset_px": st.floats(-2, 2).map(lambda value: round(value, 2)),
        "first_deg": st.floats(-180, 180).map(lambda value: round(value, 1)),
        "pixel_um": st.sampled_from([0.5, 0.3]),
        "seed": st.integers(0, 10**6),
    }
    return st.builds(Clouds, **(parts | fixed))


def noises(**fixed: st.SearchStrategy[object]) -> st.SearchStrategy[Clouds]:
    """Scans without noise and with that of a good exposure, which makes none of them another scan.

    Not for other views, or the same ones elsewhere: total variation by one-sided differences, or a weight that is judged by
    some of the views, leaves other noise then, a third of it in ours, and that is no error.
    """
    return clouds(photons=st.sampled_from([0.0, 1e4]), **fixed)

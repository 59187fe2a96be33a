"""Objects whose projections are known exactly: a few Gaussian clouds in each slice, alike in no plane and no two slices."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CLOUDS = 4
# Of the columns. Below these widths a window on the ramp filter would show; three of the largest beyond the farthest middle still
# lie in the disc that every view sees, outside of which an engine may put nothing.
_WIDTHS = (0.055, 0.085)
_REACH = 0.17


@dataclass(frozen=True)
class Scene:
    """`rows` slices of `columns` x `columns` voxels, seen at `views` angles over half a turn from `first_deg` on.

    The axis meets the detector `offset_px` beside its middle. `seed` places the clouds.
    """

    rows: int = 2
    columns: int = 40
    views: int = 60
    offset_px: float = 0.0
    first_deg: float = 0.0
    pixel_um: float = 0.1
    seed: int = 0

    @property
    def angles_rad(self) -> Array:
        """Evenly over half a turn, the end left out."""
        return np.asarray(np.deg2rad(self.first_deg + 180.0 * np.arange(self.views) / self.views))

    @property
    def center_px(self) -> float:
        """Column of the axis."""
        return (self.columns - 1) / 2 + self.offset_px

    def _clouds(self) -> tuple[Array, Array, Array]:
        """Values (row, cloud), 1/um, middles (row, cloud, 2) in x, y and covariances (row, cloud, 2, 2), pixels."""
        rng = np.random.default_rng(self.seed)
        shape = (self.rows, _CLOUDS)
        values = rng.uniform(0.05, 0.15, shape)
        reach, turn = _REACH * self.columns * np.sqrt(rng.uniform(0, 1, shape)), rng.uniform(0, 2 * np.pi, shape)
        middles = np.stack([reach * np.cos(turn), reach * np.sin(turn)], axis=-1)
        widths = np.sort(self.columns * rng.uniform(*_WIDTHS, (*shape, 2)))
        lie = rng.uniform(0, np.pi, shape)
        turned = np.moveaxis(np.array([[np.cos(lie), -np.sin(lie)], [np.sin(lie), np.cos(lie)]]), (0, 1), (-2, -1))
        return values, middles, np.einsum("...ik,...k,...jk->...ij", turned, widths**2, turned)

    def volume(self) -> Array:
        """Attenuation (row, y, x), 1/um."""
        values, middles, covariances = self._clouds()
        axis = np.arange(self.columns) - (self.columns - 1) / 2
        place = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1)  # (y, x, 2) of x, y
        away = place - middles[:, :, None, None]
        power = np.einsum("rcyxi,rcij,rcyxj->rcyx", away, np.linalg.inv(covariances), away)
        return np.asarray(np.einsum("rc,rcyx->ryx", values, np.exp(-power / 2)))

    def rays(self, angles_rad: Array | None = None) -> Array:
        """Optical depth (row, angle, column): a Gaussian's shadow is one, of the variance along its direction."""
        angles = self.angles_rad if angles_rad is None else angles_rad
        values, middles, covariances = self._clouds()
        across = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        variance = np.einsum("ai,rcij,aj->rca", across, covariances, across)
        height = values * np.sqrt(2 * np.pi * np.linalg.det(covariances)) * self.pixel_um
        away = np.arange(self.columns) - self.center_px - np.einsum("ai,rci->rca", across, middles)[..., None]
        shadows = np.exp(-(away**2) / (2 * variance[..., None])) / np.sqrt(variance)[..., None]
        return np.asarray(np.einsum("rc,rcau->rau", height, shadows))


def scenes(rows: tuple[int, int] = (1, 4), columns: tuple[int, int] = (40, 57)) -> st.SearchStrategy[Scene]:
    """Scenes of odd and even sizes, any first angle, often a round one, any axis within two pixels of the middle."""
    return st.builds(
        Scene,
        rows=st.integers(*rows),
        columns=st.integers(*columns),
        views=st.integers(60, 90),
        offset_px=st.floats(-2, 2).map(lambda value: round(value, 2)),
        first_deg=st.sampled_from([0.0, 90.0, -90.0]) | st.floats(-180, 180).map(lambda value: round(value, 1)),
        pixel_um=st.sampled_from([0.02, 0.1, 1.0]),
        seed=st.integers(0, 10**6),
    )

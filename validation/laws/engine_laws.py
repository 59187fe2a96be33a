"""Laws of an engine: engine(optical_depth (row, angle, column), angles_rad, *, center_px, pixel_um) -> (z, y, x) in 1/um.

Objects are smooth and views are many, so an engine may have any filter and any number of steps: what is left between it and
the truth is some percent. What is compared with another image of the same engine is held closer.
"""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t

from .law import Broken, Function, Law, checked, close, law, sealed, within
from .scenes import Scene, scenes

Array = NDArray[np.float64]

_ROUNDING = 3e-3  # of the largest value, between two images of one engine that should be alike
# From the truth, rms of the largest value: no more than five times what the widest window or an iteration stopped early leaves.
_TRUE = 0.03
_MADE_UP = 0.05  # the same where a column of the rays is made up
_MOVED = 0.015  # the same where the field lies elsewhere about the object, to whose ends an iteration comes differently
# Twice what iterations leave that stop where noise would.
_MASS = 0.009
_PLACE_PX = 0.06
_TURN_DEG = 0.7
_SHADE = 0.004  # of the largest value: half of what a row does whose ends meet
_RARE = 1e-7  # probability that noise alone breaks a statistical law in a trial


def image(engine: Function, scene: Scene, rays: Array | None = None, angles: Array | None = None, **place: float) -> Array:
    """What the engine makes of a scene, or of other rays of it."""
    shown = scene.rays(angles) if rays is None else rays
    at = {"center_px": scene.center_px, "pixel_um": scene.pixel_um} | place
    found = engine(sealed(shown, np.float32), sealed(scene.angles_rad if angles is None else angles), **at)
    return checked(found, (shown.shape[0], scene.columns, scene.columns))


def largest(values: Array) -> float:
    """Size of the largest value."""
    return float(np.abs(values).max())


def displaced(volume: Array, truth: Array) -> Array:
    """How far slices lie from those of the truth (row, 3): pixels along x and y, and degrees turned from x to y.

    By least squares of the difference on what a small motion would change.
    """
    axis = np.arange(truth.shape[2]) - (truth.shape[2] - 1) / 2
    along_y, along_x = np.gradient(truth, axis=(1, 2))
    turned = np.deg2rad(axis[:, None] * along_x - axis * along_y)
    changes = np.stack([-along_x, -along_y, turned], axis=-1).reshape(len(truth), -1, 3)
    left = (volume - truth).reshape(len(truth), -1)
    return np.array([np.linalg.lstsq(of, by, rcond=None)[0] for of, by in zip(changes, left, strict=True)])


def stands(volume: Array, truth: Array, what: str) -> None:
    """Broken where a slice lies elsewhere than that of the truth."""
    off = np.abs(displaced(volume, truth)).max(axis=0)
    if not (off[:2].max() <= _PLACE_PX and off[2] <= _TURN_DEG):
        raise Broken(
            f"{what} lies {off[:2].max():.3g} pixels from its place and is turned by {off[2]:.3g} degrees; "
            f"allowed {_PLACE_PX:g} and {_TURN_DEG:g}"
        )


@dataclass(frozen=True)
class Noise:
    """A scene with noise of `share` of its largest depth."""

    scene: Scene
    share: float
    seed: int

    def draw(self, factor: float = 1.0) -> Array:
        """Noise like the rays."""
        shape = (self.scene.rows, self.scene.views, self.scene.columns)
        size = factor * self.share * largest(self.scene.rays())
        return np.asarray(np.random.default_rng([self.seed, 1]).normal(0, size, shape))


def noises() -> st.SearchStrategy[Noise]:
    """Noise of 1 to 5 %."""
    return st.builds(Noise, scenes(rows=(4, 4)), st.floats(0.01, 0.05), st.integers(0, 10**6))


@law(scenes())
def answers(engine: Function, scene: Scene) -> None:
    """Finite numbers (z, y, x) come back, a slice for each row, as many voxels across as columns; the rays stay as they are."""
    found = image(engine, scene)
    if not np.isfinite(found).all():
        raise Broken(f"{np.sum(~np.isfinite(found))} of {found.size} voxels are not finite though all rays are")


@law(scenes(), examples=5)
def says_the_same_again(engine: Function, scene: Scene) -> None:
    """The same rays give the same image, whatever was reconstructed in between."""
    first = image(engine, scene)
    image(engine, scene, 2 * scene.rays())
    close(image(engine, scene), first, 1e-6 * largest(first), "a second image differs from the first")


@law(scenes(), examples=5)
def makes_nothing_of_nothing(engine: Function, scene: Scene) -> None:
    """No absorption gives an empty image."""
    found = image(engine, scene, np.zeros_like(scene.rays()))
    close(found, np.zeros_like(found), 1e-4 * largest(scene.volume()), "an image of nothing")


@law(scenes())
def comes_near_the_truth(engine: Function, scene: Scene) -> None:
    """A smooth object seen from many sides comes out as it is, in 1/um, within the circle that all views see."""
    truth = scene.volume()
    close(image(engine, scene), truth, _TRUE * largest(truth), "away from the truth")


@law(scenes())
def keeps_the_mass(engine: Function, scene: Scene) -> None:
    """Each slice holds as much as the truth's, within the circle that all views see: iron is neither made nor lost."""
    truth = scene.volume()
    axis = np.arange(scene.columns) - (scene.columns - 1) / 2
    circle = np.hypot(axis[:, None], axis) <= scene.columns / 2
    for share in image(engine, scene)[:, circle].sum(axis=1) / truth[:, circle].sum(axis=1):
        within(share, 1 - _MASS, 1 + _MASS, "mass of a slice over the truth's")


@law(scenes())
def keeps_the_place(engine: Function, scene: Scene) -> None:
    """Slices lie where they should, and as they should: x to the right at 0 degrees, turning as the contract says."""
    stands(image(engine, scene), scene.volume(), "a slice")


@law(st.tuples(scenes(), st.sampled_from([0.002, 0.1, 4.0, 30.0])), examples=8)
def scales_with_the_rays(engine: Function, case: tuple[Scene, float]) -> None:
    """As many times the optical depth, as many times the attenuation, be it thin or opaque."""
    scene, deepest = case
    one, factor = image(engine, scene), deepest / largest(scene.rays())
    other = image(engine, scene, factor * scene.rays()) / factor
    close(other, one, _ROUNDING * largest(one), f"at an optical depth of up to {deepest:g}")


@law(st.tuples(scenes(), st.floats(0.01, 10)), examples=6)
def scales_with_the_pixel(engine: Function, case: tuple[Scene, float]) -> None:
    """The same depths over larger pixels are less attenuation, in proportion."""
    scene, pixel_um = case
    one = image(engine, scene)
    other = image(engine, scene, pixel_um=pixel_um) * pixel_um / scene.pixel_um
    close(other, one, _ROUNDING * largest(one), "attenuation times the pixel changes with it")


@law(st.tuples(scenes(), st.integers(0, 10**6)), needs="linear")
def adds(engine: Function, case: tuple[Scene, int]) -> None:
    """The image of two sets of rays together is the sum of their images, also where some are negative."""
    scene, other = case
    a, b = scene.rays(), -0.7 * replace(scene, seed=other + 1).rays()
    both = image(engine, scene, a + b)
    parts = image(engine, scene, a) + image(engine, scene, b)
    close(both, parts, _ROUNDING * largest(image(engine, scene, a)), "the image of a sum")


@law(scenes(rows=(3, 5)), examples=6, needs="slicewise")
def makes_each_slice_of_its_row(engine: Function, scene: Scene) -> None:
    """Rows in another order give the slices in that order."""
    order = np.random.default_rng(scene.seed).permutation(scene.rows)
    one = image(engine, scene)
    close(image(engine, scene, scene.rays()[order]), one[order], _ROUNDING * largest(one), "slices of rows in another order")


@law(scenes(rows=(3, 5)), examples=6)
def turns_over_with_the_rows(engine: Function, scene: Scene) -> None:
    """Rows upside down give the slices upside down."""
    one = image(engine, scene)
    close(image(engine, scene, scene.rays()[::-1]), one[::-1], _ROUNDING * largest(one), "slices of rows upside down")


@law(st.tuples(scenes(), st.integers(-4, 4)), examples=6)
def follows_the_axis(engine: Function, case: tuple[Scene, int]) -> None:
    """Rays that lie so many columns further on, as the axis does, are the same object."""
    scene, columns = case
    one = image(engine, scene)
    moved = image(engine, scene, np.roll(scene.rays(), columns, axis=2), center_px=scene.center_px + columns)
    inner = np.s_[:, 5:-5, 5:-5]
    close(moved[inner], one[inner], _MOVED * largest(one), f"the axis {columns} columns further on")


@law(scenes(), examples=6)
def turns_with_the_angles(engine: Function, scene: Scene) -> None:
    """Angles a quarter turn higher turn the image by a quarter: x becomes y."""
    one = image(engine, scene)
    turned = image(engine, scene, scene.rays(), angles=scene.angles_rad + np.pi / 2)
    close(np.rot90(turned, axes=(1, 2)), one, 2 * _ROUNDING * largest(one), "angles a quarter turn higher")


@law(scenes(), examples=6)
def sees_opposite_views_as_mirrored(engine: Function, scene: Scene) -> None:
    """A view from behind is the mirror image about the axis: any view may be taken from there."""
    scene = replace(scene, offset_px=0.0)
    flipped = np.random.default_rng(scene.seed).random(scene.views) < 0.5
    rays = scene.rays()
    rays[:, flipped] = rays[:, flipped, ::-1]
    one = image(engine, scene)
    other = image(engine, scene, rays, angles=scene.angles_rad + np.pi * flipped)
    close(other, one, 2 * _ROUNDING * largest(one), "some views taken from behind")


@law(scenes(), examples=6)
def does_not_mind_the_order_of_views(engine: Function, scene: Scene) -> None:
    """Views in another order, with their angles, are the same scan."""
    order = np.random.default_rng(scene.seed).permutation(scene.views)
    one = image(engine, scene)
    other = image(engine, scene, scene.rays()[:, order], angles=scene.angles_rad[order])
    close(other, one, _ROUNDING * largest(one), "views in another order")


@law(scenes(), examples=6)
def does_not_mind_how_many_views(engine: Function, scene: Scene) -> None:
    """Twice as many views of a smooth object give the same values."""
    one, other = image(engine, scene), image(engine, replace(scene, views=2 * scene.views))
    close(other, one, 0.02 * largest(one), "twice as many views")


@law(scenes(), examples=6, needs="uneven")
def weighs_crowded_views_less(engine: Function, scene: Scene) -> None:
    """Views that stand up to three times closer on one side, and one taken twice, do not make that side brighter."""
    share = (np.arange(2 * scene.views) + 0.5) / (2 * scene.views)
    angles = np.deg2rad(scene.first_deg) + np.pi * (share + 0.25 * np.sin(2 * np.pi * share) / np.pi)
    angles[-1] = angles[0]
    truth = scene.volume()
    close(image(engine, scene, angles=angles), truth, _TRUE * largest(truth), "uneven views: away from the truth")


@law(scenes(columns=(58, 64)), examples=6)  # up to a power of two, where one who pads to the next pads nothing
def does_not_wrap_around(engine: Function, scene: Scene) -> None:
    """What lies at one side of the field leaves no copy at the other, and no shade."""
    columns = scene.columns
    width, place = columns / 16, 0.34 * columns
    axis = np.arange(columns) - scene.center_px
    away = axis - place * np.cos(scene.angles_rad)[:, None]
    rays = np.exp(-(away**2) / (2 * width**2))[None]
    found = image(engine, scene, rays)
    left, size = found[:, columns // 4 : -columns // 4, : columns // 4], largest(found)
    close(left, np.zeros_like(left), 0.03 * size, "the far side of an object near the edge")
    within(float(left.mean()), -_SHADE * size, _SHADE * size, "mean of the far side of an object near the edge")


@law(st.builds(replace, scenes(), rows=st.just(24)), examples=3, needs="linear", false_alarms=3 * _RARE)
def has_no_bias_from_noise(engine: Function, scene: Scene) -> None:
    """Noise about zero gives images about zero: negative values are not cut off."""
    noise = np.random.default_rng(scene.seed).normal(0, 0.05, (scene.rows, scene.views, scene.columns))
    quarter = scene.columns // 4
    means = image(engine, scene, noise)[:, quarter:-quarter, quarter:-quarter].mean(axis=(1, 2))
    allowed = float(t.ppf(1 - _RARE / 2, scene.rows - 1)) * float(means.std(ddof=1)) / np.sqrt(scene.rows)
    within(float(means.mean()), -allowed, allowed, f"mean of {scene.rows} images of noise")


@law(noises(), false_alarms=1e-9)
def errs_less_with_less_noise(engine: Function, case: Noise) -> None:
    """A quarter of the noise is never worse."""
    truth, rays = case.scene.volume(), case.scene.rays()
    errors = [
        float(np.sqrt(np.mean((image(engine, case.scene, rays + case.draw(factor)) - truth) ** 2))) for factor in (0.25, 1.0)
    ]
    within(errors[0], 0.0, errors[1], "error at a quarter of the noise")


@law(scenes(rows=(3, 5)), examples=5)
def contains_a_missing_ray(engine: Function, scene: Scene) -> None:
    """A ray that is missing (NaN) changes no other slice."""
    row = scene.seed % scene.rows
    spoilt = scene.rays()
    spoilt[row, scene.views // 2, scene.columns // 2] = np.nan
    one, other = image(engine, scene), image(engine, scene, spoilt)
    rest = np.arange(scene.rows) != row
    close(other[rest], one[rest], _TRUE * largest(one), "slices beside one with a missing ray")


@law(scenes(rows=(2, 4)), examples=5)
def answers_missing_rays_well_or_not_at_all(engine: Function, scene: Scene) -> None:
    """A slice that a dead pixel's rays (NaN) are missing from is near the truth, or not all of it has an answer (NaN)."""
    row, column = scene.seed % scene.rows, int(scene.center_px) + scene.seed % 7 - 3
    rays = scene.rays()
    rays[row, :, column] = np.nan
    found, truth = image(engine, scene, rays)[row], scene.volume()
    if np.isfinite(found).all():
        close(found, truth[row], _MADE_UP * largest(truth), "a slice with a dead pixel: away from the truth")


ENGINE: tuple[Law, ...] = (
    answers,
    says_the_same_again,
    makes_nothing_of_nothing,
    comes_near_the_truth,
    keeps_the_mass,
    keeps_the_place,
    scales_with_the_rays,
    scales_with_the_pixel,
    adds,
    makes_each_slice_of_its_row,
    turns_over_with_the_rows,
    follows_the_axis,
    turns_with_the_angles,
    sees_opposite_views_as_mirrored,
    does_not_mind_the_order_of_views,
    does_not_mind_how_many_views,
    weighs_crowded_views_less,
    does_not_wrap_around,
    has_no_bias_from_noise,
    errs_less_with_less_noise,
    contains_a_missing_ray,
    answers_missing_rays_well_or_not_at_all,
)

"""Our engines with one thing wrong each: scale, axis, angles, filter, border, counts to depth, rows and rays."""

import numpy as np
from mutant import Mutant, inside

import analysis.reconstruct.fbp as insides
import analysis.reconstruct.iterative as steps
from analysis.reconstruct.fbp import angular_weights, fbp
from analysis.reconstruct.iterative import cgls, sirt


def of_rays(change, engine=fbp):
    return lambda rays, angles, **place: engine(change(rays), angles, **place)


def of_image(change, engine=fbp):
    return lambda rays, angles, **place: change(engine(rays, angles, **place))


def of_angles(change):
    return lambda rays, angles, **place: fbp(rays, change(angles), **place)


def of_place(**changes):
    return lambda rays, angles, **place: fbp(rays, angles, **(place | {k: f(place[k]) for k, f in changes.items()}))


def of_part(name, change):
    """Another function in the place of one that the filtered backprojection is made of."""
    return inside(insides, name, change, fbp)


def moved(rays, columns):
    """Rays (row, angle, column) moved by `columns` (angle,), by their phase."""
    n = 2 * rays.shape[2]
    phase = np.exp(-2j * np.pi * np.asarray(columns)[:, None] * np.fft.rfftfreq(n))
    return np.fft.irfft(np.fft.rfft(rays, n) * phase, n)[..., : rays.shape[2]].astype(np.float32)


def carried(engine):
    """Keeps half of the image before."""
    before = {}

    def with_memory(rays, angles, **place):
        new = engine(rays, angles, **place)
        old = before.get(new.shape, new)
        before[new.shape] = new
        return 0.5 * (new + old)

    return with_memory


def first_angles(engine):
    """Sets its geometry up once for each shape."""
    known = {}

    def cached(rays, angles, **place):
        return engine(rays, known.setdefault(rays.shape, angles), **place)

    return cached


def in_place(rays, angles, **place):
    rays *= -1
    return fbp(-rays, angles, **place)


def through_counts(change):
    """From depth back to transmission, and through a faulty way to depth again."""
    return of_rays(lambda rays: change(np.exp(-rays.astype(float))).astype(np.float32))


def flat_of_rows(transmission):
    """A flat of one frame: its mean over the first axis is one over rows."""
    rows, _, columns = transmission.shape
    flat = 1 + 0.02 * np.random.default_rng(0).normal(size=(rows, 1, columns))
    return -np.log(transmission * flat / flat.mean(axis=0))


def about_half(rays, angles, **place):
    """At even sizes voxels lie about N // 2."""
    off = rays.shape[2] // 2 - (rays.shape[2] - 1) / 2
    return fbp(moved(rays, off * (np.cos(angles) + np.sin(angles))), angles, **place)


def in_halves(rays, angles, **place):
    """Four parts of the views, summed in 16 bits."""
    weights, total = angular_weights(angles), 0
    for part in range(4):
        own = np.where(np.arange(len(angles)) % 4 == part, weights, 0)
        total = of_part("angular_weights", lambda _, own=own: lambda _: own)(rays, angles, **place).astype(np.float16) + total
    return total.astype(np.float32)


def without_last_of_odd(image):
    """Rows are taken in pairs."""
    image = image.copy()
    image[len(image) // 2 * 2 :] = 0
    return image


def without_zero_angle(rays, angles, **place):
    seen = np.abs(np.mod(angles + 1e-9, 2 * np.pi)) > 1e-6
    return fbp(rays * seen[:, None], angles, **place)


def empty_as_infinite(rays, angles, **place):
    """Columns of the system that no ray sees are divided by."""
    image = sirt(rays, angles, **place)
    with np.errstate(divide="ignore", invalid="ignore"):
        return image * np.float32(np.inf) * (image == 0) + image


def over(turn):
    """Angles evenly over a part of the circle, whatever is said."""
    return lambda angles: angles[0] + turn * np.arange(len(angles)) / len(angles)


def alike(angles):
    return np.full(len(angles), np.pi / len(angles))


def no_ends(angles):
    """First and last view weigh nothing."""
    weights = angular_weights(angles).copy()
    weights[[0, -1]] = 0
    return weights


class Askew(steps.Projector):
    """Its transpose is about a column half a pixel off."""

    def adjoint(self, rays):
        return super().adjoint(moved(rays, np.full(self.views, 0.5)))


class Unscaled(steps.Projector):
    """Its transpose knows nothing of the pixel."""

    def __init__(self, *arguments, pixel_um, **named):
        super().__init__(*arguments, pixel_um=pixel_um, **named)
        self._of = np.float32(pixel_um)

    def adjoint(self, rays):
        return super().adjoint(rays) / self._of


def of_steps(projector):
    """Conjugate gradients with another projector."""
    return inside(steps, "Projector", lambda _: projector, cgls)


def smeared(image):
    return 0.8 * image + 0.1 * (np.roll(image, 1, axis=0) + np.roll(image, -1, axis=0))


def wrapped(length):
    return lambda columns: length(columns) // 2


def without_mean(size):
    return np.abs(np.fft.fftfreq(size))


def floored(transmission):
    return -np.log(np.maximum(transmission, 1e-6))


def engine(name, says, function, source="", without=()):
    return Mutant(name, says, "engine", function, source, without)


ENGINES = [
    # scale
    engine(
        "half the scale", "the filter lacks a factor of two", of_part("_ramp", lambda ramp: lambda n: ramp(n) / 2), "tomopy #209"
    ),
    engine(
        "views not counted",
        "the sum over views is not divided by their number",
        of_part("angular_weights", lambda _: lambda angles: np.full(len(angles), np.pi)),
        "tomopy #629",
    ),
    engine("pixel ignored", "values are per pixel, whatever its size", of_place(pixel_um=lambda _: 0.1), "odl #1519"),
    engine("pixel squared", "divided by the pixel twice", lambda r, a, **p: fbp(r, a, **p) / p["pixel_um"], "CIL #1340"),
    engine(
        "small pixels alike", "pixels below 50 nm count as 50 nm", of_place(pixel_um=lambda p: max(p, 0.05)), "torch-radon #20"
    ),
    engine("gain of 5 %", "the ramp is 5 % too steep", of_part("_ramp", lambda ramp: lambda n: 1.05 * ramp(n))),
    engine("gain of 1 %", "the ramp is 1 % too steep", of_part("_ramp", lambda ramp: lambda n: 1.01 * ramp(n))),
    engine("a constant", "1e-3/um more everywhere", of_image(lambda v: v + 1e-3)),
    # axis and grid
    engine("axis at N/2", "the axis half a pixel off", of_place(center_px=lambda c: c + 0.5), "tomopy #409"),
    engine("axis a quarter off", "the axis a quarter of a pixel off", of_place(center_px=lambda c: c + 0.25)),
    engine("axis ignored", "the axis in the middle, whatever is said", of_place(center_px=lambda _: 19.5)),
    engine("voxels about N // 2", "even sizes lie half a voxel off", about_half, "scikit-image #6425"),
    engine("a voxel off", "the middle is N/2 + 1/2", of_image(lambda v: np.roll(v, 1, axis=(1, 2))), "pty-chi #73"),
    engine("upside down", "rows are read from below", of_image(lambda v: v[::-1]), "TIGRE #345"),
    engine("mirrored", "left is right", of_image(lambda v: v[:, :, ::-1])),
    engine("transposed", "x is y", of_image(lambda v: v.transpose(0, 2, 1))),
    engine("turned by a quarter", "the input stood on its side", of_image(lambda v: np.rot90(v, axes=(1, 2)))),
    engine(
        "askew",
        "forward and back are about different columns",
        of_steps(Askew),
        "scikit-image #592",
        ("linear",),
    ),
    engine(
        "not the transpose",
        "the transpose lacks the pixel",
        of_steps(Unscaled),
        "",
        ("linear",),
    ),
    # angles
    engine("the other hand", "angles the other way", of_angles(np.negative), "warp #173"),
    engine("degrees", "radians are given where degrees are wanted", of_angles(np.rad2deg), "TomoPhantom #70"),
    engine("radians twice", "radians taken for degrees and converted again", of_angles(np.deg2rad), "algotom #12"),
    engine(
        "full turn",
        "any scan counts as 360 degrees",
        of_angles(over(2 * np.pi)),
        "mantidimaging #718",
    ),
    engine("half turn", "any scan counts as 180 degrees", of_angles(over(np.pi)), "tofu #58"),
    engine(
        "endpoint twice", "angles made with both ends", of_angles(lambda a: np.linspace(a[0], a[0] + np.pi, len(a))), "TIGRE #754"
    ),
    engine("angles sorted", "angles are put in order, views are not", of_angles(np.sort), "TIGRE #25"),
    engine("angles of the first call", "a geometry is set up once for each shape", first_angles(fbp), "torch-radon pull 7"),
    engine("a view off", "the first view is dropped, the last angle with it", lambda r, a, **p: fbp(r[:, 1:], a[:-1], **p)),
    engine("a degree off", "angles start a degree later", of_angles(lambda a: a + np.deg2rad(1))),
    engine("nothing at 0", "the view at 0 degrees is empty", without_zero_angle, "TIGRE #453"),
    # weights of views
    engine(
        "all views alike",
        "crowded views weigh as others",
        of_part("angular_weights", lambda _: alike),
        "odl #267",
    ),
    engine("no ends", "first and last view weigh nothing", of_part("angular_weights", lambda _: no_ends), "RTK #870"),
    # filter and border
    engine(
        "no mean",
        "the ramp is zero at the mean",
        of_part("_ramp", lambda _: without_mean),
        "scikit-image #3067",
    ),
    engine("no padding", "rows wrap around", of_part("padded_length", wrapped), "tomopy #481"),
    engine(
        "window off by two",
        "the sinc window's argument lacks a half",
        of_part("_WINDOWS", lambda windows: windows | {"ramp": np.sinc}),
        "scikit-image #2065",
    ),
    # counts to depth
    engine("no log", "what is missing of the light counts as depth", through_counts(lambda t: 1 - t), "tomopy #79"),
    engine("log twice", "the log of a log", through_counts(lambda t: -np.log(np.maximum(-np.log(t), 1e-6))), "tomopy #183"),
    engine(
        "floor of light",
        "transmission is at least 1e-6",
        through_counts(floored),
        "mantidimaging #967",
    ),
    engine("ceiling of light", "transmission is at most 1", through_counts(lambda t: -np.log(np.minimum(t, 1)))),
    engine("dark left in", "2 % of the light is the dark's", through_counts(lambda t: -np.log((t + 0.02) / 1.02))),
    engine("flat of rows", "a single flat is averaged over its rows", through_counts(flat_of_rows), "tomopy #568"),
    engine("input spoilt", "rays are changed where they stand", in_place, "tomopy #183"),
    # rays and rows
    engine(
        "NaN spreads",
        "one missing ray, and two slices are none",
        of_part("_bridged", lambda _: lambda rays: rays),
        "mantidimaging #953",
    ),
    engine("missing is empty", "missing rays count as without absorption", of_rays(np.nan_to_num)),
    engine("inf where unseen", "what no ray sees is divided by", empty_as_infinite, "CIL pull 1163", ("linear",)),
    engine("odd row lost", "rows go in pairs", of_image(without_last_of_odd)),
    engine("negatives cut", "values below zero are set to it", of_image(lambda v: np.maximum(v, 0))),
    engine("thin is nothing", "rays below 0.01 are air", of_rays(lambda r: np.where(r < 0.01, 0, r))),
    engine("sums in 16 bits", "views are summed in half precision", in_halves),
    engine(
        "rows smeared",
        "a slice holds a tenth of its neighbours",
        of_image(smeared),
    ),
    engine("a memory", "half of the image before is kept", carried(fbp)),
    engine("flattened", "only the first slice comes back", of_image(lambda v: v[0])),
    engine("complex", "the imaginary part is left in", of_image(lambda v: v + 0j)),
]

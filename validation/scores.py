"""How far a result is from the truth. Null where a score cannot be formed."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, generate_binary_structure

from analysis.phases import front_width_um
from analysis.result import AmountMap, fp_index, phase_fraction
from phantom import InputError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Values = NDArray[np.float32]
Scores = dict[str, float | None]

_PARTICLE = 0.5  # truth iron of a scored voxel
_LARGEST_SHIFT = 3.0  # voxels
_SMALLEST = 7  # voxels along an axis, to find such a shift in


@dataclass(frozen=True)
class Overlay:
    """Truth and result on the result's grid, one rigid shift (z, y, x; voxels) removed."""

    truth: AmountMap
    result: AmountMap
    shift: Array


def overlap_matrix(fine: int, fine_um: float, coarse: int, coarse_um: float, shift_um: float) -> Array:
    """Share of each fine voxel in each coarse one along an axis, (coarse, fine); rows sum to 1 inside.

    Both axes are centred on zero; the fine one is moved by `shift_um`.
    """
    low = (np.arange(coarse) - coarse / 2)[:, None] * coarse_um
    left = (np.arange(fine) - fine / 2)[None, :] * fine_um + shift_um
    overlap = np.minimum(low + coarse_um, left + fine_um) - np.maximum(low, left)
    return np.asarray(np.maximum(overlap, 0) / coarse_um)


def average_onto(truth: AmountMap, shape: tuple[int, int, int], voxel_um: float, shift_um: Array) -> AmountMap:
    """The truth's amounts averaged over the voxels of another grid; x formed from them is iron-weighted."""
    box = _bounding_box(truth.iron > 0, 0)
    if truth.is_series:
        box = (slice(None), *box[1:])
    amounts = truth.amounts[(slice(None), *box)]
    for axis in _spatial_axes(truth):
        matrix = overlap_matrix(truth.shape[axis], truth.voxel_um, shape[axis], voxel_um, float(shift_um[axis]))
        shares = matrix[:, box[axis]].astype(np.float32)
        amounts = np.moveaxis(np.tensordot(shares, amounts, axes=(1, axis + 1)), 0, axis + 1)
    return replace(truth, amounts=np.ascontiguousarray(amounts), voxel_um=voxel_um)


def _spatial_axes(m: AmountMap) -> tuple[int, ...]:
    return (1, 2) if m.is_series else (0, 1, 2)


def overlay(truth: AmountMap, result: AmountMap) -> Overlay:
    """Truth on the result's grid, moved by the shift that best fits their iron (Gauss-Newton, at most 3 voxels).

    Raises InputError where the two cannot belong together.
    """
    if set(truth.species) != set(result.species):
        raise InputError(f"score: species of truth {truth.species} and result {result.species} differ; allowed are the same")
    if truth.axes != result.axes or (truth.is_series and truth.shape[0] != result.shape[0]):
        raise InputError(
            f"score: truth has axes {truth.axes} {truth.shape}, result {result.axes} {result.shape}; allowed are the same axes, "
            "and as many times"
        )
    if truth.phase_fraction_sigma is not None:
        raise InputError("score: the truth carries a sigma, so it is a result; allowed is TRUTH first, then RESULT")
    spatial = _spatial_axes(truth)
    if min(*(m.shape[axis] for m in (truth, result) for axis in spatial)) < _SMALLEST:
        raise InputError(
            f"score: volumes of {truth.shape} and {result.shape} voxels; allowed is {_SMALLEST} or more along each axis"
        )
    fields = [np.array([m.shape[axis] for axis in spatial]) * m.voxel_um for m in (truth, result)]
    if np.any(np.abs(fields[0] - fields[1]) > 0.5 * np.maximum(*fields)):
        raise InputError(
            f"score: fields of view differ: truth {fields[0].round(2)} um, result {fields[1].round(2)} um; "
            "state the result's voxel size with --voxel"
        )
    order = [result.species.index(name) for name in truth.species]
    result = replace(
        result,
        species=truth.species,
        amounts=result.amounts[order],
        amounts_sigma=None if result.amounts_sigma is None else result.amounts_sigma[order],
    )
    moved = average_onto(truth, result.shape, result.voxel_um, np.zeros(3))
    shift = np.zeros(3)
    shift[list(spatial)] = _integer_shift(*_still(moved, result))
    for _ in range(3):
        moved = average_onto(truth, result.shape, result.voxel_um, shift * result.voxel_um)
        step = _gauss_newton(*_still(moved, result))
        shift[list(spatial)] += step
        shift *= min(1.0, _LARGEST_SHIFT / max(float(np.linalg.norm(shift)), 1e-9))
        if np.abs(step).max() < 1e-3:
            break
    if np.abs(shift).max() < 1e-6:
        shift = np.zeros(3)
    return Overlay(average_onto(truth, result.shape, result.voxel_um, shift * result.voxel_um), result, shift)


def _still(truth: AmountMap, found: AmountMap) -> tuple[Values, Values]:
    """Iron of both in space alone: a series is averaged over time."""
    pair = truth.iron, np.asarray(np.nan_to_num(found.iron))
    return (pair[0].mean(axis=0), pair[1].mean(axis=0)) if truth.is_series else pair


def _integer_shift(truth: Values, found: Values) -> NDArray[np.intp]:
    """Whole voxels along each axis by which the truth must move to lie on what was found."""
    reach, every = int(_LARGEST_SHIFT), tuple(range(truth.ndim))
    correlation = np.fft.irfftn(np.fft.rfftn(found) * np.fft.rfftn(truth).conj(), s=truth.shape, axes=every)
    index = np.arange(-reach, reach + 1)
    near = correlation[np.ix_(*[index] * truth.ndim)]
    return np.array(np.unravel_index(int(np.argmax(near)), near.shape)) - reach


def _gauss_newton(truth: Values, found: Values) -> Array:
    """Sub-voxel shift of the truth from one least-squares step, along each axis."""
    box = _bounding_box(truth > 0.05, 3)
    model = truth[box].astype(float)
    gradients = np.stack([-g.ravel() for g in np.gradient(model)])
    difference = (found[box] - model).ravel()
    normal = gradients @ gradients.T
    if np.linalg.cond(normal) > 1e8:
        return np.zeros(truth.ndim)
    return np.asarray(np.clip(np.linalg.solve(normal, gradients @ difference), -1, 1))


def _bounding_box(mask: Mask, margin: int) -> tuple[slice, ...]:
    if not mask.any():
        raise InputError("score: the truth holds no particle; allowed is iron of at least 0.5 somewhere")
    slices = []
    for axis in range(mask.ndim):
        along = np.flatnonzero(mask.any(axis=tuple(k for k in range(mask.ndim) if k != axis)))
        slices.append(slice(max(0, along[0] - margin), min(mask.shape[axis], along[-1] + 1 + margin)))
    return tuple(slices)


def interior(truth: AmountMap, particle: Mask, lfp: Mask) -> Mask:
    """Voxels at least max(2 voxels, 1.5 resolution widths) from surface and front."""
    if truth.is_series:  # in projection there is no front, and moments are no neighbours
        distance = np.stack([distance_transform_edt(image) for image in particle])
    else:
        distance = np.maximum(distance_transform_edt(lfp), distance_transform_edt(particle & ~lfp))
    # From a voxel's centre to the face of the next phase is half a voxel less than to its centre.
    return np.asarray((distance - 0.5) >= max(2.0, 1.5 * truth.resolution_um / truth.voxel_um))


def score(truth: AmountMap, result: AmountMap) -> Scores:
    """Accuracy scores of a result. `truth` may be on a finer grid; units in the names.

    Scored voxels have truth iron >= 0.5; one without an answer counts as |error| 1.
    """
    return score_pair(overlay(truth, result))


def score_pair(pair: Overlay) -> Scores:
    """As `score`, of an overlay already made."""
    true_iron = pair.truth.iron
    voxel_um = pair.result.voxel_um
    whole = _bounding_box(true_iron >= _PARTICLE, 4)
    scores: Scores = {"registration_shift_um": float(np.linalg.norm(pair.shift) * voxel_um)}
    scores |= _foreign(pair)
    if pair.truth.is_series:
        whole = (slice(None), *whole[1:])
    scores |= _resolution(pair)
    cut = _cut(pair, whole)
    true_iron, found_iron = cut.truth.iron, cut.result.iron
    true_x = phase_fraction(cut.truth.amounts, cut.truth.species)
    found_x = phase_fraction(cut.result.amounts, cut.result.species)
    particle = true_iron >= _PARTICLE
    lfp = particle & (true_x < 0.5)
    inner = interior(cut.truth, particle, lfp)
    scores |= _errors(true_x, found_x, particle, inner)
    scores |= _bulk(cut, true_iron)
    found_particle = np.nan_to_num(found_iron) >= _PARTICLE
    found_lfp = found_particle & (np.nan_to_num(found_x, nan=2.0) < 0.5)
    scores["dice_LFP"] = _dice(lfp, found_lfp)
    scores["dice_FP"] = _dice(particle & ~lfp, found_particle & (np.nan_to_num(found_x, nan=-1.0) >= 0.5))
    scores["front_distance_um"] = None if cut.truth.is_series else _front_distance(particle, true_x, found_x, voxel_um)
    mask = particle if cut.truth.is_series else inner
    for name, x in (("truth", true_x), ("found", found_x)):
        scores[f"mixed_share_{name}"] = float(((x > 0.2) & (x < 0.8))[mask].mean()) if mask.any() else None
    scores |= _pulls(true_x, found_x, cut.result.phase_fraction_sigma, inner)
    for name, m in (("front_width_um", cut.result), ("front_width_truth_um", cut.truth)):
        scores[name] = None if m.is_series else front_width_um(m)
    scores["fsc_halves_um"] = None
    return scores


def _cut(pair: Overlay, box: tuple[slice, ...]) -> Overlay:
    def cut(m: AmountMap) -> AmountMap:
        sigma = None if m.phase_fraction_sigma is None else m.phase_fraction_sigma[box]
        return replace(m, amounts=m.amounts[(slice(None), *box)], amounts_sigma=None, phase_fraction_sigma=sigma, flags=None)

    return Overlay(cut(pair.truth), cut(pair.result), pair.shift)


def _neighbours(m: AmountMap) -> Mask:
    """Voxels that share a face, in space."""
    structure = generate_binary_structure(3, 1)
    if m.is_series:
        structure[[0, 2]] = False
    return np.asarray(structure)


def _errors(true_x: Values, found_x: Values, particle: Mask, inner: Mask) -> Scores:
    answered = np.isfinite(found_x)
    error = np.where(answered, np.nan_to_num(found_x) - true_x, 1.0)
    out: Scores = {"scored_share": float(answered[particle].mean())}
    for name, mask in (("", particle), ("_interior", inner)):
        chosen = error[mask].astype(float)
        given = error[mask & answered].astype(float)
        out[f"phase_rmse{name}"] = float(np.sqrt(np.mean(chosen**2))) if chosen.size else None
        out[f"phase_bias{name}"] = float(given.mean()) if given.size else None
    for name, mask in (("LFP", true_x < 0.5), ("FP", true_x >= 0.5)):
        given = error[inner & answered & mask].astype(float)
        out[f"phase_bias_interior_{name}"] = float(given.mean()) if given.size else None
    out["interior_voxels"] = float(inner.sum())
    return out


def _bulk(cut: Overlay, true_iron: Values) -> Scores:
    where = binary_dilation(true_iron >= _PARTICLE, _neighbours(cut.truth), iterations=2)
    fp = fp_index(cut.truth.species)

    def fraction(m: AmountMap) -> float | None:
        iron = float(np.nansum(m.amounts[:, where], dtype=float))
        return float(np.nansum(m.amounts[fp][where], dtype=float)) / iron if iron > 0 else None

    true, found = fraction(cut.truth), fraction(cut.result)
    sigma = cut.result.phase_fraction_sigma
    found_iron = np.nan_to_num(cut.result.iron[where])
    # Voxels taken as independent; the common errors of standards and flats are not in it.
    spread = None if sigma is None else float(np.sqrt(np.nansum((found_iron * sigma[where]) ** 2)) / found_iron.sum())
    error = None if true is None or found is None else found - true
    return {
        "bulk_fraction_truth": true,
        "bulk_fraction_found": found,
        "bulk_fraction_error": error,
        "bulk_fraction_sigma": spread,
    }


def _foreign(pair: Overlay) -> Scores:
    """Iron found where there is none: voxels more than 2 from any truth iron, over the particle's voxels."""
    iron = pair.truth.iron
    empty = ~binary_dilation(iron >= 0.05, _neighbours(pair.truth), iterations=2)
    found = np.nan_to_num(pair.result.iron) >= _PARTICLE
    return {"false_particle_share": float((found & empty).sum() / (iron >= _PARTICLE).sum())}


def _dice(a: Mask, b: Mask) -> float | None:
    """2 |A and B| / (|A| + |B|), Dice, Ecology 26 (1945) 297."""
    total = int(a.sum() + b.sum())
    return float(2 * (a & b).sum() / total) if total else None


def _front(particle: Mask, x: Values) -> Mask:
    """LFP voxels of the particle that touch FP by a face."""
    fp = particle & (np.nan_to_num(x, nan=0.0) >= 0.5)
    faces = np.zeros_like(fp)
    for axis in range(3):
        for step in (1, -1):
            faces |= np.roll(fp, step, axis)
    return np.asarray(particle & ~fp & faces)


def _front_distance(particle: Mask, true_x: Values, found_x: Values, voxel_um: float) -> float | None:
    true, found = _front(particle, true_x), _front(particle, found_x)
    if not true.any() or not found.any():
        return None
    to_true = distance_transform_edt(~true)[found]
    to_found = distance_transform_edt(~found)[true]
    return float((to_true.mean() + to_found.mean()) / 2 * voxel_um)


def _pulls(true_x: Values, found_x: Values, sigma: Values | None, inner: Mask) -> Scores:
    """(found - true) / sigma in the interior, core and shell apart."""
    names = (
        "pull_mean",
        "pull_std",
        "coverage_68",
        "coverage_95",
        "pull_std_LFP",
        "pull_std_FP",
        "pull_mean_LFP",
        "pull_mean_FP",
        "phase_sigma_interior",
    )
    if sigma is None:
        return dict.fromkeys(names)
    good = inner & np.isfinite(found_x) & np.isfinite(sigma) & (sigma > 0)
    pull = np.divide(found_x - true_x, sigma, out=np.zeros_like(true_x), where=good).astype(float)

    def of(mask: Mask, what: str) -> float | None:
        values = pull[mask & good]
        if values.size < 10:
            return None
        return float(values.mean() if what == "mean" else values.std())

    everywhere = pull[good]
    return {
        "pull_mean": of(good, "mean"),
        "pull_std": of(good, "std"),
        "coverage_68": float((np.abs(everywhere) < 1.0).mean()) if everywhere.size >= 10 else None,
        "coverage_95": float((np.abs(everywhere) < 1.96).mean()) if everywhere.size >= 10 else None,
        "pull_std_LFP": of(true_x < 0.5, "std"),
        "pull_std_FP": of(true_x >= 0.5, "std"),
        "pull_mean_LFP": of(true_x < 0.5, "mean"),
        "pull_mean_FP": of(true_x >= 0.5, "mean"),
        "phase_sigma_interior": float(np.sqrt(np.mean(sigma[good].astype(float) ** 2))) if good.any() else None,
    }


def fourier_shell(a: Values, b: Values, voxel_um: float, threshold: float = 0.5) -> float | None:
    """Resolution, um, at which the Fourier shell correlation first falls below `threshold`.

    van Heel and Schatz, J. Struct. Biol. 151 (2005) 250. The Nyquist period where it never falls; null
    where one of the two is empty.
    """
    if not a.any() or not b.any():
        return None
    fa, fb = np.fft.rfftn(a), np.fft.rfftn(b)
    frequency = np.sqrt(
        sum(
            k**2
            for k in np.meshgrid(
                np.fft.fftfreq(a.shape[0]), np.fft.fftfreq(a.shape[1]), np.fft.rfftfreq(a.shape[2]), indexing="ij", sparse=True
            )
        )
    )
    width = 1 / max(a.shape)
    shell = np.rint(frequency / width).astype(int).ravel()
    last = int(0.5 / width)

    def sums(values: Array) -> Array:
        return np.asarray(np.bincount(shell, weights=values.ravel(), minlength=last + 1)[: last + 1], float)

    cross = sums((fa * fb.conj()).real)
    power = np.sqrt(sums(np.abs(fa) ** 2) * sums(np.abs(fb) ** 2))
    correlation = np.divide(cross, power, out=np.zeros_like(cross), where=power > 0)
    below = np.flatnonzero(correlation < threshold)
    below = below[below > 0]
    if not below.size:
        return 2 * voxel_um
    k = int(below[0])
    before, after = correlation[k - 1], correlation[k]
    place = k - 1 + (before - threshold) / (before - after) if before > after else float(k)
    return float(voxel_um / max(place * width, width / 2))


def _resolution(pair: Overlay) -> Scores:
    """Against the truth: of the iron, and of the phase contrast (amount of FP less amount of LFP)."""
    fp = fp_index(pair.truth.species)

    def contrast(m: AmountMap) -> Values:
        return np.asarray(np.nan_to_num(2 * m.amounts[fp] - m.iron))

    if pair.truth.is_series:
        return dict.fromkeys(("fsc_truth_iron_um", "fsc_truth_phase_um"))
    voxel = pair.result.voxel_um
    return {
        "fsc_truth_iron_um": fourier_shell(pair.truth.iron, np.nan_to_num(pair.result.iron), voxel),
        "fsc_truth_phase_um": fourier_shell(contrast(pair.truth), contrast(pair.result), voxel),
    }

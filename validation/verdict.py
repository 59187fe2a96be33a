"""One sentence: what limits this map and what to change next."""

from typing import Any

from instrument.optics import point_width_um

from .study import Study

# Beyond what the ratio's own bias at low counts explains.
_TELLING_BIAS = 0.02
_TELLING_CHANGE = 0.02  # of the bulk fraction, during a scan


def megagray(dose_MGy: float) -> str:
    """A dose with its unit, three digits, no exponent."""
    return f"{dose_MGy:,.0f} MGy" if dose_MGy >= 1000 else f"{dose_MGy:.3g} MGy"


def dose_in_words(dose_MGy: float, study: Study) -> str:
    """The dose, and its name when no operando particle is thought to survive it."""
    text = megagray(dose_MGy)
    limit = study.verdict.survivable_MGy
    if dose_MGy > limit:
        return f"{text}, unrealistic for an operando particle (guess: {limit:g} MGy)"
    return f"{text}, below the {limit:g} MGy taken as survivable (guess)"


def windowed(study: Study) -> bool:
    """Whether a map of the study is as fine as the window on the ramp filter lets it be."""
    made = study.analysis
    filtered = made.engine == "fbp" or (made.engine, made.algorithm) == ("tomopy", "gridrec")
    return study.scan.kind == "tomography" and made.method != "joint" and filtered


def suspects(study: Study, *, ours: bool = True) -> str:
    """Where an error may come from that all voxels share: of a method that weighs or smooths, first from that."""
    made = study.analysis
    if not ours:
        return "the method's own bias, standards, energy scale and alignment"
    if made.method == "joint" or made.engine == "tv" or made.algorithm == "mlem":
        return "what the method's prior does, then standards, energy scale and alignment"
    if made.engine in ("cgls", "sirt") or made.algorithm == "sirt":
        return "steps that stop at the noise, then standards, energy scale and alignment"
    return "standards, energy scale and alignment"


def verdict(scores: dict[str, Any], study: Study, *, ours: bool = True) -> str:
    """Noise, systematic error or edges: the largest part of the mean squared error of x, and its cure.

    Noise is sigma^2 as the analysis states it, systematic error what the interior has beyond it, edges
    what the whole particle has beyond its interior. `ours`: no user's part made the map.
    """
    total = scores["phase_rmse"] ** 2
    inside, sigma = scores["phase_rmse_interior"], scores["phase_sigma_interior"]
    place = "pixel" if study.scan.kind == "series" else "voxel"
    rmse = f"The phase fraction is wrong by {scores['phase_rmse']:.3f} rms per {place}"
    if inside is None or sigma is None:
        return (
            f"{rmse}; no {place} lies far enough from surface and front to tell noise from blur: "
            "take smaller pixels or a larger particle."
        )
    noise, systematic = min(sigma, inside) ** 2, max(inside**2 - sigma**2, 0.0)
    edges = max(total - inside**2, 0.0)
    share = {"noise": noise, "systematic": systematic, "edges": edges}
    worst = max(share, key=lambda name: share[name])
    part = f"{100 * share[worst] / max(sum(share.values()), 1e-30):.0f} % of the squared error"
    biases = [scores["phase_bias_interior_LFP"], scores["phase_bias_interior_FP"]]
    largest = max((bias for bias in biases if bias is not None), key=abs, default=0.0)
    if abs(largest) > _TELLING_BIAS:
        where = "core" if largest == biases[0] else "shell"
        rmse += f" with a mean error of {largest:+.3f} in {where} (check {suspects(study, ours=ours)})"
    if worst == "noise":
        dose = scores["dose_MGy"]
        better = max(total - 0.75 * noise, 0.25 * total) ** 0.5
        return (
            f"{rmse}, limited by photon noise ({part}; sigma {sigma:.3f} in the interior): larger {place}s, "
            f"or 4 times the photons for about {better:.3f} at {megagray(4 * dose)}."
        )
    if worst == "edges" and scores["bulk_fraction_change"] > _TELLING_CHANGE and study.scan.kind == "tomography":
        return (
            f"{rmse}, limited by what changed while the scan lasted ({part}; bulk fraction by "
            f"{scores['bulk_fraction_change']:.3f} in {scores['scan_time_s'] / 60:.0f} min): scan faster, or charge slower."
        )
    if worst == "edges" and study.scan.kind == "series":
        return (
            f"{rmse}, limited by the particles' rims, where the beam meets little iron ({part}; {inside:.3f} in the interior): "
            "more photons, or no answer where the rim is thin."
        )
    if worst == "edges":
        width = point_width_um(study.optics)
        window = (
            f", or a filter window that keeps more resolution than '{study.analysis.window}'" if ours and windowed(study) else ""
        )
        return (
            f"{rmse}, limited by partial voxels at surface and front ({part}; {inside:.3f} in the interior): "
            f"smaller pixels{window} (optics {width * 1000:.0f} nm, pixel {study.scan.pixel_um * 1000:.0f} nm)."
        )
    bias = scores["phase_bias_interior"]
    return (
        f"{rmse}, limited by systematic error ({part}; mean error {bias:+.3f} in the interior against a sigma of {sigma:.3f}): "
        f"check {suspects(study, ours=ours)} before more photons."
    )

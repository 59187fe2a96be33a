"""Go or no go: whether a planned scan reaches a wanted sigma, at what dose and time, and what stands in its way."""

from dataclasses import asdict, dataclass
from typing import Any

from ..verdict import dose_in_words
from .calibration import Calibration


@dataclass(frozen=True)
class Decision:
    """`reasons` against it are sentences; without any it is go. `remarks` are for those who go."""

    wanted: float
    reached: float
    dose_MGy: float
    hours: float
    dominant: str
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]
    cure: str

    @property
    def lines(self) -> list[str]:
        """What a person is told."""
        word = "GO" if self.is_go else "NO GO"
        error = f"rms error of x up to {self.reached:.3g} of {self.wanted:g} wanted"
        head = f"{word}: {error}, {self.dose_MGy:.3g} MGy, {self.hours:.2g} h; dominant error: {self.dominant}"
        return [head, *(f"  {reason}" for reason in (*self.reasons, *self.remarks)), *filter(None, [self.cure])]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"is_go": self.is_go} | asdict(self)

    @property
    def is_go(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.reasons


def decide(found: Calibration, wanted: float) -> Decision:
    """The decision for a wanted rms error of x in a voxel of the interior.

    What is compared is the upper end of the 95 % interval of the error itself, not of the stated sigma. Noise falls with the
    square root of the photons; what is systematic, the error beyond sigma, does not.
    """
    error, sigma = found.scores["phase_rmse_interior"], found.scores["phase_sigma_interior"]
    reached = error.mean + error.half_width
    noise = min(sigma.mean, error.mean) ** 2
    rest = max(error.mean**2 - noise, 0.0)
    dose, hours = (sum(row[name] for row in found.rows) / len(found.rows) for name in ("dose_MGy", "scan_time_s"))
    hours /= 3600
    dominant = "photon noise" if noise >= rest else "systematic error: standards, energy scale, alignment, or the method's own"
    limit = found.study.verdict.survivable_MGy
    reasons, cure = [], ""
    if reached > wanted:
        reasons.append(f"the error is up to {reached:.3g} where {wanted:g} is wanted")
        if rest >= wanted**2:
            cure = f"No dose helps: {rest**0.5:.3g} of it is not noise."
        else:
            times = noise / (wanted**2 - rest)
            voxel = found.study.scan.pixel_um * times ** (1 / 4)
            cure = (
                f"About {times:.3g} times the photons would do, {times * dose:.3g} MGy and up to {times * hours:.2g} h; or "
                f"voxels of {voxel * 1000:.0f} nm instead of {found.study.scan.pixel_um * 1000:.0f} nm at the same dose "
                "(a voxel's noise goes with its size to the power -2 in a filtered backprojection)."
            )
    if dose > limit:
        reasons.append(f"the dose is {dose_in_words(dose, found.study)}")
    if found.is_bold:
        reasons.append("sigma is too small: a map would look better than it is")
    remarks = [] if found.is_honest or found.is_bold else ["sigma is not to be taken as it is"]
    return Decision(wanted, reached, dose, hours, dominant, tuple(reasons), tuple(remarks), cure)

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.result import AmountMap
from phantom import FP, LFP, Front, InputError, Particle, make_sample
from validation.require import parse_requirement
from validation.scores import average_onto, fourier_shell, overlap_matrix, score


@pytest.fixture(scope="module")
def truth():
    particle = Particle(orientation_deg=(20.0, 30.0, 40.0))
    phantom = make_sample(particle, Front(), LFP, FP, (96, 96, 96), 0.06, np.random.default_rng(1)).at(0.5)
    return AmountMap(phantom.species, phantom.amounts, 0.06)


@pytest.fixture(scope="module")
def perfect(truth):
    averaged = average_onto(truth, (48, 48, 48), 0.12, np.zeros(3))
    return replace(averaged, phase_fraction_sigma=np.full((48, 48, 48), 0.1, np.float32))


@given(shift=st.tuples(*[st.floats(-1.7, 1.7)] * 3))
def test_a_rigid_shift_is_no_error(shift, truth):
    """Found on iron, removed and reported."""
    moved = average_onto(truth, (48, 48, 48), 0.12, np.array(shift) * 0.12)
    scores = score(truth, moved)
    assert scores["registration_shift_um"] == pytest.approx(np.linalg.norm(shift) * 0.12, abs=0.004)
    assert scores["phase_rmse"] < 0.02


def test_honest_and_dishonest_sigma(truth, perfect):
    rng = np.random.default_rng(0)
    x = perfect.phase_fraction
    iron = perfect.iron
    noisy = np.nan_to_num(x) + 0.1 * rng.normal(size=x.shape).astype(np.float32)
    result = replace(perfect, amounts=np.stack([iron * (1 - noisy), iron * noisy]))
    honest = score(truth, result)
    assert honest["pull_std"] == pytest.approx(1, abs=0.03)
    assert honest["coverage_68"] == pytest.approx(0.683, abs=0.02)
    assert honest["pull_std_LFP"] == pytest.approx(1, abs=0.05)
    bold = score(truth, replace(result, phase_fraction_sigma=result.phase_fraction_sigma * 0.8))
    assert bold["pull_std"] == pytest.approx(1.25, abs=0.04)


def test_false_particles_are_counted(truth, perfect):
    amounts = perfect.amounts.copy()
    amounts[0, :4, :4, :4] = 1
    share = score(truth, replace(perfect, amounts=amounts))["false_particle_share"]
    assert share == pytest.approx(64 / (perfect.iron >= 0.5).sum())


@given(fine=st.integers(4, 30), coarse=st.integers(4, 30), shift=st.floats(-0.5, 0.5))
def test_overlap_conserves(fine, coarse, shift):
    """Each fine voxel inside the coarse field gives away exactly itself."""
    matrix = overlap_matrix(fine, 1.0, coarse, 1.0, shift)
    given_away = matrix.sum(axis=0)
    left = np.arange(fine) - fine / 2 + shift
    inside = (left >= -coarse / 2) & (left + 1 <= coarse / 2)
    assert given_away[inside] == pytest.approx(np.ones(inside.sum()))
    assert (matrix.sum(axis=1) <= 1 + 1e-12).all()


def test_fourier_shell_finds_a_blur():
    """White noise against itself with a sharp low pass: the cut-off comes back."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(48, 48, 48))
    k = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(48)] * 3, indexing="ij")))
    passed = np.fft.ifftn(np.fft.fftn(noise) * (k < 0.25)).real
    other = passed + np.fft.ifftn(np.fft.fftn(rng.normal(size=noise.shape)) * (k >= 0.25)).real
    assert fourier_shell(noise, other, 0.1) == pytest.approx(0.1 / 0.25, rel=0.05)
    assert fourier_shell(noise, noise, 0.1) == pytest.approx(0.2)
    assert fourier_shell(noise, np.zeros_like(noise), 0.1) is None


def test_strangers_are_refused(truth, perfect):
    with pytest.raises(InputError, match="species"):
        score(truth, replace(perfect, species=("LFP", "NMC")))
    with pytest.raises(InputError, match="--voxel"):
        score(truth, replace(perfect, voxel_um=1.0))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("phase_rmse < 0.2", True),
        ("phase_rmse<=0.1", True),
        ("phase_rmse > 0.1", False),
        ("abs(phase_bias) <= 0.3", True),
        ("phase_bias >= -0.1", False),
        ("charge_fraction < 1", False),
    ],
)
def test_requirements(text, holds):
    assert parse_requirement(text).holds({"phase_rmse": 0.1, "phase_bias": -0.2, "charge_fraction": None}) is holds


@pytest.mark.parametrize(
    "text",
    ["phase_rmse", "1 < 2 < 3", "__import__('os')", "phase_rmse == 1", "phase_rmse < b", "", "abs(phase_rmse < 1", "nothing < 1"],
)
def test_requirements_are_parsed_never_evaluated(text):
    with pytest.raises(InputError, match="--require"):
        parse_requirement(text)


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_the_shift_is_found_whatever_the_unit_of_iron(truth, perfect, factor):
    moved = average_onto(truth, (48, 48, 48), 0.12, np.array([0.0, 0.0, 1.0]) * 0.12)
    scores = score(truth, replace(moved, amounts=factor * moved.amounts))
    assert scores["registration_shift_um"] == pytest.approx(0.12, abs=1e-3)
    assert scores["phase_rmse"] < 2e-3

"""The experiment's claims 1 to 6, 8 and 9, their controls, and a third phase, on reconstructed data.

Numbers and bounds: benchmarks/claims_of_scans.py, claims_of_stages.py, third_phase.py.
"""

import functools

import pytest
from claim_tools import FULL, SMALL
from claims import CLAIMS, findings
from third_phase import flagged

CONTROLLED = {2, 4, 5, 6, 9}
LONG = {3, 4, 5}
THIRD_PHASE = ["FP 2 eV higher", "like Fe3+", "like Fe2+"]


@functools.cache
def held(claim, *, small):
    found = findings(claim, small=small)
    assert any(one.control for one in found) == (claim in CONTROLLED)
    assert all(one.claim == claim for one in found)
    assert not [f"{one.what}: {one.value:.4g}, not {one.bound}" for one in found if not one.holds]
    return {one.what: one.value for one in found}


@pytest.mark.parametrize("claim", [pytest.param(claim, marks=[pytest.mark.slow] if claim in LONG else []) for claim in CLAIMS])
def test_the_claim_and_its_control_in_a_small_field(claim):
    held(claim, small=True)


@pytest.mark.slow
@pytest.mark.parametrize("claim", CLAIMS)
def test_the_claim_and_its_control_at_full_size(claim):
    held(claim, small=False)


@pytest.mark.slow
def test_the_front_turns_from_y_to_z_to_all_alike():
    """Claim 5 in numbers: early more than twice x and from +y alone, then z 1.5 times the others, at last within 10 %."""
    found = held(5, small=True)
    assert found["to partial: +y over x"] > 2
    assert found["to partial: -y over +y"] < 0.1
    assert min(found["to middle: z over x"], found["to middle: z over y"]) > 1.5
    assert found["to end: largest deviation of six directions from their mean"] < 0.1


@pytest.mark.parametrize("spectrum", THIRD_PHASE)
def test_a_third_phase_in_a_complete_scan(spectrum):
    """1e6 incident photons, 5 % of the iron foreign, in grains of 4 voxels: at least 90 % flagged, at most 5 % of the others."""
    one = flagged(spectrum, 0.5, SMALL)
    iron = one.foreign.sum() + one.explained.sum()
    assert 0.03 < one.foreign.sum() / iron < 0.08
    assert one.recall() >= 0.9
    assert one.alarms() <= 0.05
    assert one.recall(one.depth_um > 0.2) >= 0.9


def test_without_a_third_phase_few_are_flagged():
    one = flagged(THIRD_PHASE[0], 0.5, SMALL, share=0.0)
    assert not one.foreign.any()
    assert 0.005 < one.alarms() <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("radius_um", [0.5, 0.25])
@pytest.mark.parametrize("spectrum", THIRD_PHASE)
def test_a_third_phase_at_full_size(spectrum, radius_um):
    one = flagged(spectrum, radius_um, FULL)
    assert one.recall() >= 0.9
    assert one.alarms() <= 0.05

import functools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import analysis
import instrument
import phantom
import validation

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT.parent / "shared" / "data"

for stage in (phantom, instrument, analysis, validation):
    if Path(stage.__file__).resolve().parents[1] != ROOT:
        pytest.exit(f"tests would run {stage.__file__}, not the checkout {ROOT}", returncode=4)

settings.register_profile("quick", max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run tests marked slow")
    parser.addoption("--thorough", action="store_true", help="many more hypothesis examples")


def pytest_configure(config):
    settings.load_profile("thorough" if config.getoption("--thorough") else "quick")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@functools.cache
def _closed_loop(name, changes):
    from validation import analyze, load_study, score, simulate

    study = load_study(name, dict(changes))
    simulation = simulate(study, threads=2)
    conclusion = analyze(simulation.scan, simulation.standards, study.analysis, threads=2)
    return study, simulation, conclusion, score(simulation.truth, conclusion.map)


@pytest.fixture(scope="session")
def closed_loop():
    """(study, simulation, conclusion, scores) of a study with changes, made once."""
    return lambda name="tiny", **changes: _closed_loop(name, tuple((k.replace("__", "."), v) for k, v in changes.items()))


@pytest.fixture(scope="session")
def measured():
    """Folder of the measured spectra."""
    if not (MEASURED / "LFP_FeK_norm.txt").is_file():
        pytest.skip(f"measured spectra absent: no {MEASURED.relative_to(ROOT.parent)} beside the checkout")
    return MEASURED

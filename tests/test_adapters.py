"""The examples run other programs' engines and fits in our loop; their interpreter is that of TXM_TWIN_CLIENTS (.ci/clients)."""

import os
from pathlib import Path

import pytest

from validation.loop import laid_over, record_into
from validation.methods import parse_method
from validation.scores import score_pair
from validation.study import load_study

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PYTHON = os.environ.get("TXM_TWIN_CLIENTS", "")
SMALL = {"scan.angles": 48, "scan.columns": 40, "scan.rows": 28, "scan.pixel_um": 0.18}
ADAPTERS = {
    "skimage_iradon.py": "engine=skimage_iradon.py:engine",
    "algotom_fbp.py": "engine=algotom_fbp.py:engine",
    "pyxas_fit.py": "fit=pyxas_fit.py:fit",
}


def test_every_example_is_short_and_known():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(ADAPTERS)
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 30


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A small scan's folder, and what it holds."""
    folder = tmp_path_factory.mktemp("adapters")
    study = load_study("tiny", SMALL)
    return folder, study, record_into(folder, study)


@pytest.mark.clients
@pytest.mark.skipif(not PYTHON, reason="clients absent: set TXM_TWIN_CLIENTS to the python of what .ci/clients makes")
@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_is_as_good_as_ours(recorded, name):
    """Scored end to end: as right as ours, at the same place, no bias, nothing lost."""
    folder, study, simulation = recorded
    scores = {}
    for text in ("image", ADAPTERS[name].replace("=", f"={EXAMPLES}/")):
        method = parse_method(text, 300.0, str(Path(PYTHON).absolute()))
        method.check(study)
        conclusion = method.analyze(folder, method.applied_to(study), threads=1)
        pair = laid_over(simulation, conclusion, method)
        scores[text] = score_pair(pair)
    ours, theirs = scores.values()
    assert theirs["phase_rmse"] < 1.1 * ours["phase_rmse"]
    assert abs(theirs["bulk_fraction_error"]) < 0.02
    assert theirs["scored_share"] > 0.99
    assert theirs["registration_shift_um"] < 0.1 * study.scan.pixel_um + ours["registration_shift_um"]

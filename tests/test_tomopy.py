"""tomopy's algorithms against analytic particles; runs where tomopy is importable."""

from importlib.util import find_spec

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phantom import Ellipsoid, InputError, ellipsoid_paths, voxelize

FOUND = find_spec("tomopy") is not None
needs_tomopy = pytest.mark.skipif(not FOUND, reason="tomopy is not importable (conda-forge, environment.yml)")


@pytest.mark.skipif(FOUND, reason="tomopy is importable")
def test_absence_is_said_in_one_line():
    from analysis.reconstruct.engines import check_tomopy

    with pytest.raises(InputError, match=r"environment\.yml"):
        check_tomopy()


@needs_tomopy
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("columns", "offset", "algorithm"),
    [
        *((columns, offset, "gridrec") for columns, offset in ((96, 0.0), (97, 0.0), (128, 0.0), (96, 2.3), (97, -1.6))),
        *((columns, offset, name) for columns, offset in ((96, 0.0), (97, -1.6)) for name in ("sirt", "mlem")),
    ],
)
def test_images_stand_and_read_like_the_truth(columns, offset, algorithm):
    from analysis.reconstruct.tomopy_engine import gridrec, iterative

    turn = Rotation.from_euler("xyz", (20, 40, 60), degrees=True).as_matrix()
    bodies = [
        Ellipsoid((0.2, 4.0, -9.0), (24.0, 16.0, 20.0), 0.06, 2, turn),
        Ellipsoid((0.0, -8.0, 6.0), (9.0, 12.0, 10.0), 0.03, 2),
    ]
    angles = np.arange(180) * np.pi / 180
    axis = np.arange(columns) - (columns - 1) / 2
    depth = ellipsoid_paths(bodies, angles, np.arange(4) - 1.5, axis - offset).transpose(1, 0, 2)
    place = {"center_px": (columns - 1) / 2 + offset, "pixel_um": 1.0}
    found = gridrec(depth, angles, **place) if algorithm == "gridrec" else iterative(depth, angles, algorithm=algorithm, **place)
    truth = voxelize(bodies, (4, columns, columns), 1.0)
    inner = np.hypot(axis[:, None], axis[None]) < 0.42 * columns
    assert np.sqrt(np.mean((found - truth)[:, inner] ** 2)) < 0.01 * truth.max()
    mass = found[:, inner].sum() / truth[:, inner].sum()
    assert mass == pytest.approx(1, abs=0.01)
    weights = np.where(inner, found.sum(axis=0), 0)
    wanted = truth.sum(axis=0)
    for direction in (0, 1):
        place, right = ((w.sum(axis=1 - direction) @ axis) / w.sum() for w in (weights, wanted))
        assert place == pytest.approx(right, abs=0.05)


@needs_tomopy
@pytest.mark.filterwarnings("ignore")
def test_the_loop_with_gridrec_is_as_honest(closed_loop):
    scores = closed_loop("tiny", analysis__engine="tomopy")[3]
    assert abs(scores["bulk_fraction_error"]) < 0.02
    assert 0.85 < scores["pull_std"] < 1.15


@needs_tomopy
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("algorithm", ["sirt", "mlem"])
def test_the_loop_with_an_iterative_one(closed_loop, algorithm):
    options = {"analysis__method": "projection", "analysis__engine": "tomopy", "analysis__algorithm": algorithm}
    scores = closed_loop("tiny", **options)[3]
    assert abs(scores["bulk_fraction_error"]) < 0.03
    assert scores["phase_rmse"] < 0.25
    assert 0.4 < scores["pull_std"] < 1.6

"""What a run will take: time, memory, disk and dose, beforehand."""

from .coarse import coarse_of
from .materials import check_physics
from .study import Study


def forecast(study: Study) -> dict[str, float]:
    """Time, memory, disk and dose of a run beforehand; the dose from the particle on a coarse grid.

    Time and memory are rough: counts of the work times rates of a 2-core machine.
    """
    check_physics(study)
    scan, coarse = study.scan, coarse_of(study)
    energies, fine = len(scan.energies_eV), scan.oversampling
    series = scan.kind == "series"
    frames = energies * (scan.angles + scan.flats + scan.darks)
    pixels = scan.rows * scan.columns
    cut = (scan.rows + 2 * scan.outside_px) * (scan.columns + 2 * scan.outside_px)
    slabs, depth = coarse.slabs, coarse.depth_um / scan.pixel_um
    fine_voxels = cut * depth * fine**3
    found = pixels * (scan.angles if series else scan.columns)
    volumes = 2 + len(coarse.fillers)
    truth = volumes * fine_voxels * 4 / 1e9
    paths = (2 * coarse.states + len(coarse.fillers)) * (1 if series else scan.angles) * cut * slabs * fine**2 * 4 / 1e9
    result = found * 29 / 1e9
    return {
        "time_s": 4
        + frames * pixels * 1.1e-7
        + energies * scan.angles * cut * (slabs - 1) * fine**2 * 2e-8
        + energies * found * 6e-8
        + fine_voxels * (1.7e-7 + 0.5e-7 * coarse.states)
        + 0.4 * (len(coarse.diameters_um) - 1),
        "memory_GB": 0.3 + max(1.6 * truth, truth + 1.2 * paths, truth + 3 * result),
        "disk_GB": frames * pixels * 2 / 1e9 + 1.1 * result,
        "dose_MGy": coarse.dose_MGy,
    }

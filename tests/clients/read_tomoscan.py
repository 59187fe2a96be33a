"""tomoscan: every entry of every file given, frames and tomoscan's own flat-field correction of the projections."""

import sys

from telling import tell

# isort: split
import numpy as np
from nxtomo.application.nxtomo import NXtomo
from silx.io.utils import get_data
from tomoscan.esrf.scan.nxtomoscan import NXtomoScan


def frames(urls):
    return np.stack([get_data(urls[index]) for index in sorted(urls)])


scans = []
for path in sys.argv[1:]:
    for entry in NXtomo.get_valid_entries(path):
        scan = NXtomoScan(path, entry)
        scan.set_reduced_flats(scan.compute_reduced_flats(reduced_method="median"))
        scan.set_reduced_darks(scan.compute_reduced_darks(reduced_method="median"))
        indices = sorted(scan.projections)
        projections = [get_data(scan.projections[index]) for index in indices]
        scans.append(
            {
                "energy_eV": scan.energy * 1000,
                "angles_deg": [scan.rotation_angle[index] for index in indices],
                "pixels_um": [size * 1e6 for size in (scan.sample_x_pixel_size, scan.sample_y_pixel_size)],
                "width_height": [scan.dim_1, scan.dim_2],
                "projections": projections,
                "flats": frames(scan.flats),
                "darks": frames(scan.darks),
                "transmission": np.stack(scan.flat_field_correction(projections, indices)),
            }
        )
tell(scans=scans)

"""nabu: what its dataset analyser and its reader make of every file given, before it would reconstruct."""

import sys

from telling import tell

# isort: split
import numpy as np
from nabu.resources.dataset_analyzer import analyze_dataset
from nxtomo.application.nxtomo import NXtomo

scans = []
for path in sys.argv[1:]:
    for entry in NXtomo.get_valid_entries(path):
        data = analyze_dataset(path, extra_options={"hdf5_entry": entry})
        scans.append(
            {
                "energy_eV": data.energy * 1000,
                "angles_deg": np.rad2deg(data.rotation_angles),
                "pixel_um": data.pixel_size,
                "width_height": data.radio_dims,
                "center_px": data.rot_center_first_guess,
                "projections": data.get_reader().load_data(),
                "median_flat": next(iter(data.get_reduced_flats(method="median").values())),
                "median_dark": next(iter(data.get_reduced_darks(method="median").values())),
            }
        )
tell(scans=scans)

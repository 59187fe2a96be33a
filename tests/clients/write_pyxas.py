"""PyXAS: slices assembled from the reconstructions recon_scan_*.h5 of a folder, and their fit by two references.

FOLDER, then a file a reference (keV and normalized attenuation), then the energies before and after the edge, four in keV.
"""

import sys
from types import SimpleNamespace

from telling import tell

# isort: split
import h5py
import numpy as np
import pyxas

# Its coloured pictures, which nothing reads back, are made by a method that NumPy 2.3 dropped.
pyxas.toimage = lambda *image, **range_: SimpleNamespace(save=lambda path: None)

folder, references, ranges = sys.argv[1], sys.argv[2:4], [float(text) for text in sys.argv[4:]]
pyxas.assemble_xanes_slice_from_tomo(folder, "recon_scan", ".h5", attr_eng="X_eng")
energies = np.array([np.array(h5py.File(path)["X_eng"]) for path in pyxas.retrieve_file_type(folder, "recon_scan", ".h5")])
choices = {
    "file_type": "tiff",
    "pre_edge": ranges[:2],
    "post_edge": ranges[2:],
    "fit_eng": [energies[0], energies[-1]],
    "fit_pre_edge_flag": 1,
    "fit_post_edge_flag": 1,
    "norm_txm_flag": 0,
    "norm_edge_method": "old",
    "align_flag": 0,
    "align_ref_index": -1,
    "roi_ratio": 1,
    "regulation_flag": 0,
    "mask_xanes_flag": 0,
    "n_comp": 1,
    "fit_iter_flag": 0,
    "fit_mask_thickness_threshold": 0,
    "fit_mask_cost_threshold": 1,
    "color": "r, g",
}
spectra = pyxas.load_xanes_ref_file(*references)
pyxas.fit_2D_xanes_file(f"{folder}/xanes_assemble", "xanes_2D_slice", ".tiff", choices, energies, spectra, save_hdf=1)
tell(done=True)

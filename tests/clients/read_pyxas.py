"""PyXAS: a folder of FXI fly scans, as it lists, orders and normalizes them; or one 2D scan, `--2d FILE`."""

import sys

from telling import tell

# isort: split
import pyxas

if sys.argv[1] == "--2d":
    # Its default is XEng, which the beamline does not write.
    stack, energies_keV = pyxas.load_xanes_image_file(sys.argv[2], "", h5_attri_eng="X_eng")
    tell(energies_eV=energies_keV * 1000, transmission=stack)
else:
    listed = pyxas.get_eng_from_file(sys.argv[1])
    scans = []
    for path in pyxas.retrieve_file_type(sys.argv[1]):
        transmission, energy_keV, angles, scan_id = pyxas.retrieve_norm_tomo_image(path, index=-1)
        raw = pyxas.get_img_from_hdf_file(path, "Pixel Size", "img_tomo")
        scans.append(
            {
                "energy_eV": energy_keV * 1000,
                "angles_deg": angles,
                "pixel_um": raw["Pixel Size"] / 1000,
                "scan_id": scan_id,
                "projections": raw["img_tomo"],
                "transmission": transmission,
            }
        )
    tell(scans=scans, listed_eV=(listed["eng_list"] * 1000).to_list(), listed_ids=listed["scan_id_list"].to_list())

"""TXM-Sandbox: a series of FXI fly scans, TEMPLATE and ids, by its 3D readers; or one 2D scan, `--2d FILE`."""

import sys

from telling import tell

# isort: split
from txm_sandbox.utils.io import read_hdf5_group_to_dict, tomo_h5_reader, xanes2D_h5_reader, xanes3D_h5_reader

if sys.argv[1] == "--2d":
    tell(
        energies_eV=xanes2D_h5_reader(sys.argv[2], "eng") * 1000,
        transmission=xanes2D_h5_reader(sys.argv[2], "data"),
        pixel_text=read_hdf5_group_to_dict(sys.argv[2], "/", is_file=True)["Pixel Size"],
    )
else:
    template, ids = sys.argv[1], sys.argv[2:]
    energies_keV = xanes3D_h5_reader(template, ids, "eng")
    frames = {
        name: xanes3D_h5_reader(template, ids, kind)
        for name, kind in (("projections", "data"), ("flats", "flat"), ("darks", "dark"))
    }
    tell(
        scans=[
            {
                "energy_eV": energies_keV[index] * 1000,
                "angles_deg": tomo_h5_reader(template.format(scan_id), "theta"),
                "pixel_um": read_hdf5_group_to_dict(template.format(scan_id), "/", is_file=True)["Pixel Size"] / 1000,
                **{name: values[index] for name, values in frames.items()},
            }
            for index, scan_id in enumerate(ids)
        ]
    )

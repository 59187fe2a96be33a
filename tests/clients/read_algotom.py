"""algotom: the datasets of a DXchange file, found and loaded by its loader."""

import sys

from telling import tell

# isort: split
from algotom.io.loadersaver import find_hdf_key, load_hdf


def load(path, pattern):
    """The one dataset whose name ends so; algotom finds by any part of a name."""
    keys, _, types = find_hdf_key(path, pattern)
    (key,) = {key.lstrip("/") for key, kind in zip(keys, types, strict=True) if kind is not None and key.endswith(pattern)}
    return load_hdf(path, key)[()]


tell(
    scans=[
        {
            "energy_eV": load(path, "monochromator/energy").item() * 1000,
            "angles_deg": load(path, "exchange/theta"),
            "pixel_um": load(path, "detector/actual_pixel_size_x").item(),
            "projections": load(path, "exchange/data"),
            "flats": load(path, "exchange/data_white"),
            "darks": load(path, "exchange/data_dark"),
        }
        for path in sys.argv[1:]
    ]
)

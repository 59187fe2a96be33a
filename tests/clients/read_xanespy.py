"""xanespy: an APS 32-ID energy scan, imported into a store of its own and read from there."""

import sys
import tempfile
from pathlib import Path

from telling import tell

# isort: split
from xanespy import import_aps32idc_xanes_file
from xanespy.txmstore import TXMStore

with tempfile.TemporaryDirectory() as folder:
    target = str(Path(folder) / "imported.h5")
    import_aps32idc_xanes_file(sys.argv[1], target, "scan", downsample=0, square=False, median_filter_size=None)
    with TXMStore(target, "scan") as store:
        tell(
            energies_eV=store.energies[0],
            projections=store.intensities[0],
            flats=store.get_dataset("flat_fields")[0],
            darks=store.get_dataset("dark_fields")[0],
            optical_depth=store.optical_depths[0],
            start_end=store.timestamps[0, 0],
        )

"""silx: what `silx view` shows on opening each file, and the rest of the entry as silx makes a dictionary of it."""

import sys

from telling import tell

# isort: split
import silx.io
from silx.io.dictdump import nxtodict
from silx.io.nxdata import get_default

scans = []
for path in sys.argv[1:]:
    with silx.io.open(path) as file:
        shown = get_default(file)
        assert shown.is_image  # one picture per frame, with a slider
        group, signal, count = shown.group.name, shown.signal_name, len(shown.signal)
        entry = nxtodict(file, path=shown.group.parent.name)
    beam, detector, sample = entry["instrument"]["beam"], entry["instrument"]["detector"], entry["sample"]
    assert (beam["incident_energy@units"], detector["x_pixel_size@units"]) == ("keV", "m")
    assert sample["rotation_angle@units"] == "degree"
    scans.append(
        {
            "energy_eV": beam["incident_energy"] * 1000,
            "angles_deg": sample["rotation_angle"][detector["image_key"] == 0],
            "pixels_um": [detector[f"{axis}_pixel_size"] * 1e6 for axis in "xy"],
            "all_frames": [silx.io.get_data(f"silx:{path}?path={group}/{signal}&slice={index}") for index in range(count)],
        }
    )
tell(scans=scans)

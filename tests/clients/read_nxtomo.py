"""nxtomo: every entry of every file given, as `NXtomo.load` reads it."""

import sys

from telling import tell

# isort: split
from nxtomo.application.nxtomo import NXtomo
from nxtomo.nxobject.nxdetector import ImageKey

scans = []
for path in sys.argv[1:]:
    for entry in NXtomo.get_valid_entries(path):
        scan = NXtomo().load(path, entry, detector_data_as="as_numpy_array")
        detector = scan.instrument.detector
        keys = detector.image_key_control
        scans.append(
            {
                "energy_eV": scan.instrument.beam.incident_energy.to("eV").magnitude,
                "angles_deg": scan.sample.rotation_angle.to("degree").magnitude[keys == ImageKey.PROJECTION],
                "pixels_um": [size.to("um").magnitude for size in (detector.x_pixel_size, detector.y_pixel_size)],
                "projections": detector.data[keys == ImageKey.PROJECTION],
                "flats": detector.data[keys == ImageKey.FLAT_FIELD],
                "darks": detector.data[keys == ImageKey.DARK_FIELD],
            }
        )
tell(scans=scans)

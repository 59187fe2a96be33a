"""algotom's filtered backprojection as an engine: txm-twin run --method engine=examples/algotom_fbp.py:engine"""

import numpy as np
from algotom.rec.reconstruction import fbp_reconstruction


def engine(optical_depth, angles_rad, *, center_px, pixel_um):
    """(row, angle, column) to (z, y, x) in 1/um; views lie evenly on half a turn, as algotom takes them to."""
    views = len(angles_rad) - bool(np.isclose(np.ptp(angles_rad), np.pi))  # one seen from both sides would count twice
    angles = -np.asarray(angles_rad[:views], np.float32)  # its rows run down the image, ours along y
    choices = {"angles": angles, "ratio": None, "filter_name": "hann", "apply_log": False, "gpu": False}
    slices = [fbp_reconstruction(np.array(rays, np.float32), center_px, **choices) for rays in optical_depth[:, :views]]
    return np.array(slices) / pixel_um

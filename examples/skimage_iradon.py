"""scikit-image's iradon as an engine: txm-twin run --method engine=examples/skimage_iradon.py:engine"""

import numpy as np
from skimage.transform import iradon


def engine(optical_depth, angles_rad, *, center_px, pixel_um):
    """(row, angle, column) to (z, y, x) in 1/um; views lie evenly on half a turn, as iradon takes them to."""
    views = len(angles_rad) - bool(np.isclose(np.ptp(angles_rad), np.pi))  # one seen from both sides would count twice
    angles, columns = angles_rad[:views], optical_depth.shape[2]
    # iradon counts from column n // 2: at even sizes its voxels lie half a pixel from ours, along x and y.
    half = columns // 2 - (columns - 1) / 2
    places = np.arange(columns) - columns // 2 + half * (np.cos(angles) + np.sin(angles))[:, None] + center_px
    slices = []
    for rays in optical_depth[:, :views]:
        sinogram = [np.interp(place, np.arange(columns), view, 0, 0) for place, view in zip(places, rays, strict=True)]
        # Its rows run down the image, ours along y: the angle changes sign.
        image = iradon(np.transpose(sinogram), theta=-np.rad2deg(angles), filter_name="cosine", circle=False, output_size=columns)
        slices.append(image / pixel_um)
    return np.array(slices, np.float32)

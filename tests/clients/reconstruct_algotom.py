"""algotom alone, from a DXchange file: flat field, rotation centre, filtered backprojection.

The centre is the median over the rows whose sinograms hold enough to find one. algotom draws y upwards: its slices'
row 0 is the largest y. Arguments: the file, and where to save the volume (z, y, x) with y as ours.
"""

import sys

from telling import tell

# isort: split
import numpy as np
from algotom.io.loadersaver import load_hdf
from algotom.prep.calculation import find_center_vo
from algotom.prep.correction import flat_field_correction
from algotom.rec.reconstruction import fbp_reconstruction

path, target = sys.argv[1:]
flat, dark = (load_hdf(path, f"exchange/{name}")[()].mean(axis=0) for name in ("data_white", "data_dark"))
transmission = np.float32(flat_field_correction(load_hdf(path, "exchange/data")[()], flat, dark))
angles = np.deg2rad(load_hdf(path, "exchange/theta")[()])
depth = -np.log(transmission).sum(axis=(0, 2))
rows = np.flatnonzero(depth > depth.max() / 2)
centers = [find_center_vo(transmission[:, row], ncore=1) for row in rows]


def volume(center):
    slices = fbp_reconstruction(transmission.copy(), center, angles, ratio=None, gpu=False, ncore=1)
    return np.moveaxis(slices, 1, 0)[:, ::-1]


center = float(np.median(centers))
np.savez(target, found=volume(center), middle=volume((transmission.shape[2] - 1) / 2))
tell(center_px=center, centers_px=centers)

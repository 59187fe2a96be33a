"""How long particles and electrodes take to make on this machine.

python benchmarks/phantoms.py
"""

import os
import time

import numpy as np

from instrument.randomness import generator
from phantom import FP, LFP, Electrode, Front, Particle, make_sample

PARTICLE = Particle(semi_axes_um=(2.8, 2.4, 2.6), roughness=0.02, exponent=3, orientation_deg=(20.0, 30.0, 40.0))
FRONT = Front(
    speed=(1, 15, 1),
    later_from=(0.35, 0.6),
    later_speed=((1, 1, 8), (1, 1, 1)),
    fade=0.04,
    face_start=(0, 0, 0.35, 0, 0, 0),
)


def timed(words, shape, voxel_um, electrode, fractions):
    start = time.perf_counter()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    sample = make_sample(
        PARTICLE, FRONT, LFP, FP, shape, voxel_um, generator(1, "particle"), electrode=electrode, threads=threads
    )
    made = time.perf_counter() - start
    start = time.perf_counter()
    sample.at(fractions)
    print(f"{words}, {sample.grid.shape} voxels: {made:.1f} s with arrivals, {time.perf_counter() - start:.1f} s a state")


if __name__ == "__main__":
    timed("particle", (256, 256, 256), 0.03, None, 0.5)
    each = np.linspace(0, 1, 50)
    for form, shape, median in (("pillar", (128, 512, 512), 3.0), ("layer", (512, 1, 512), 3.0)):
        electrode = Electrode(particles=50, form=form, median_diameter_um=median, size_spread=0.3)
        timed(f"50-particle {form}", shape, 0.06, electrode, each)

"""What the sample is: species, particle, front, and analytic ellipsoids as the reference.

Everything here is the truth. `analysis` never imports this package.
"""

from .ellipsoids import Ellipsoid, ellipsoid_paths, voxelize
from .errors import InputError
from .fronts import Front
from .particle import Particle, Phantom, make_phantom
from .species import FP, LFP, Species

__all__ = [
    "FP",
    "LFP",
    "Ellipsoid",
    "Front",
    "InputError",
    "Particle",
    "Phantom",
    "Species",
    "ellipsoid_paths",
    "make_phantom",
    "voxelize",
]

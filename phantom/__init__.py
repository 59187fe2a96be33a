"""What the sample is: species, particles and electrodes, fronts, the cell; analytic ellipsoids as the reference.

Everything here is the truth. `analysis` never imports this package.
"""

from .cell import Cell
from .electrode import Electrode
from .ellipsoids import Ellipsoid, ellipsoid_paths, voxelize
from .errors import InputError
from .fronts import Front
from .particle import Particle
from .sample import Phantom, Sample, make_sample
from .species import FP, LFP, Species
from .state import State

__all__ = [
    "FP",
    "LFP",
    "Cell",
    "Electrode",
    "Ellipsoid",
    "Front",
    "InputError",
    "Particle",
    "Phantom",
    "Sample",
    "Species",
    "State",
    "ellipsoid_paths",
    "make_sample",
    "voxelize",
]

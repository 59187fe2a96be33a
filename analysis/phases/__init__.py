"""Phases of a map: which voxel is which, the front between them, how thick a shell is and how far the front moved."""

from .segmentation import Histogram, Phase, Segmentation, phase_histogram, segment
from .shells import Layer, exposed_share, front_displacement, shell_by_direction, shell_thickness, turned_layer
from .surfaces import Surface, front_surface, front_width_um

__all__ = [
    "Histogram",
    "Layer",
    "Phase",
    "Segmentation",
    "Surface",
    "exposed_share",
    "front_displacement",
    "front_surface",
    "front_width_um",
    "phase_histogram",
    "segment",
    "shell_by_direction",
    "shell_thickness",
    "turned_layer",
]

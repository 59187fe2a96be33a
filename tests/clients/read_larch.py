"""Larch: standards as columns of text, the way every XAFS session starts, and the edge it finds in them."""

import sys

from telling import tell

# isort: split
from larch.io import read_ascii
from larch.xafs import find_e0

spectra = []
for path in sys.argv[1:]:
    group = read_ascii(path)
    energies, mu = (getattr(group, label) for label in group.array_labels)
    spectra.append(
        {
            "labels": group.array_labels,
            "energies_eV": energies,
            "mu": mu,
            "formula": group.attrs.formula,
            "name": group.attrs.name,
            "edge_eV": find_e0(energies, mu),
        }
    )
tell(spectra=spectra)

"""MANTiS: a stack, as its batch mode and its window load it, with the optical density it computes on loading."""

import sys

from telling import tell

# isort: split
import numpy as np
from mantis_xray import file_plugins
from mantis_xray.analysis import data_stack, data_struct

path = sys.argv[1]
structure = data_struct.h5()
stack = data_stack.data(structure)
stack.new_data()
plugin = file_plugins.identify(path)
file_plugins.load(path, stack_object=stack, plugin=plugin)
# MANTiS 3.3.0 reads x and y but keeps them only for files of version 1.0, and compares that version with bytes; so
# its pixel size is asked of what it read, by its own rule.
tell(
    plugin=plugin.title,
    columns_rows_energies=[stack.n_cols, stack.n_rows, stack.n_ev],
    energies_eV=stack.ev,
    pixel_um=stack.calc_px_size(np.asarray(structure.exchange.x), stack.n_cols)[0],
    counts_xye=stack.absdata,
    optical_depth_xye=stack.od3d,
)

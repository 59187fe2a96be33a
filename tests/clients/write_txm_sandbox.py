"""TXM-Sandbox: reconstructions as its slices, and its own fit of registered volumes, from FOLDER/made.npz.

That holds `volumes` (energy, z, y, x), `energies` in eV, and normalized references by the names of their files.
"""

import json
import runpy
import sys
from pathlib import Path

from telling import tell

# isort: split
import h5py
import numpy as np
import pandas as pd
import txm_sandbox.napari_gui as gui
from txm_sandbox.utils.io import create_hdf5_from_json, tif_seq_writer
from txm_sandbox.utils.misc import sort_xanes_ref_by_name

folder = Path(sys.argv[1])
with np.load(folder / "made.npz") as file:
    made = dict(file)
volumes, energies = made.pop("volumes"), made.pop("energies")

for number, volume in enumerate(volumes, 9):
    name = f"fly_scan_id_{number}"
    (folder / "recon" / f"recon_{name}").mkdir(parents=True)
    tif_seq_writer(str(folder / "recon" / f"recon_{name}" / f"recon_{name}_{{0}}.tiff"), volume, axis=0, ids=5, digit=5)

path = folder / "registered.h5"
with h5py.File(path, "w") as file:
    results = file.create_group("registration_results/reg_results")
    results["registered_xanes3D"], results["eng_list"] = volumes, energies / 1000

home = Path(gui.__file__).parent
with (home / "configs" / "xanes_proc_data_struct_cfg.json").open() as file:
    structure = json.load(file)
chosen = structure["processed_XANES"]["proc_parameters"]
chosen |= {"analysis_type": "normalized spectra - lcf", "eng_list": energies.astype(np.float32), "data_shape": volumes.shape}
chosen |= {"edge_eng": 7121.0, "pre_edge_e": -12.0, "post_edge_s": 30.0, "element": "Fe", "bin_fact": 1}
chosen |= {"wl_fit_eng_s": 7122.0, "wl_fit_eng_e": 7140.0, "edge50_fit_s": 7112.0, "edge50_fit_e": 7126.0}
references = {
    name: {"data": pd.DataFrame({"Mono Energy": energies, "chi_ref": values}), "file_path": name} for name, values in made.items()
}
chosen["LCF"] = {"ref": references, "ref_alias": sort_xanes_ref_by_name(list(references)), "use_constr": True, "use_lcf": True}
structure["processed_XANES"]["proc_spectrum"] = dict.fromkeys(("wl_pos_fit", "lcf_fit", "weighted_attenuation"), False)
create_hdf5_from_json(structure, path)

# Its script takes the file's name from a settings file beside itself.
for name in ("scripts", "configs"):
    (folder / name).mkdir()
script = folder / "scripts" / "xanes3D_fit_cmd.py"
script.write_bytes((home / "scripts" / script.name).read_bytes())
(folder / "configs" / "txm_simple_gui_script_cfg.json").write_text(json.dumps({"xanes3d_fit": {"cfg_file": str(path)}}))
runpy.run_path(str(script), run_name="__main__")
tell(done=True)

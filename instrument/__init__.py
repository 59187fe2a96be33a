"""What the beamline records: attenuation, projection, the microscope's effects, dose, scan files."""

from pathlib import Path

import phantom

if Path(phantom.__file__ or "?").parents[1:2] != Path(__file__).parents[1:2]:
    raise ImportError(
        f"txm-twin: the package 'phantom' comes from {phantom.__file__ or phantom.__path__}, not from txm-twin "
        f"({Path(__file__).parents[1]}); start from another folder or rename that package"
    )

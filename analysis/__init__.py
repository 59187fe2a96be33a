"""What an experimenter concludes from a recorded scan, standards and nothing else.

From `instrument` it imports only `measurement` and `attenuation`; it never sees the truth.
"""

from pathlib import Path

import instrument

if Path(instrument.__file__ or "?").parents[1:2] != Path(__file__).parents[1:2]:
    raise ImportError(
        f"txm-twin: the package 'instrument' comes from {instrument.__file__ or instrument.__path__}, not from txm-twin "
        f"({Path(__file__).parents[1]}); start from another folder or rename that package"
    )

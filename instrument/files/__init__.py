"""Files: scans in the layouts that beamlines and their programs use, spectra, charge curves."""

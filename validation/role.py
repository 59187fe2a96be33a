"""The analysis in the role `pipeline`, which other people's functions have, too: files in, a result file out."""

from collections.abc import Mapping
from pathlib import Path

from analysis.choices import Analysis
from analysis.pipeline import analyze
from instrument.files.scans import open_any
from instrument.files.text import read_spectrum

from .files import write_map


def pipeline(scan_path: str, standards_paths: Mapping[str, str], out_path: str, *, settings: Analysis | None = None) -> None:
    """Write `out_path` (layout: README, Files), the maps that a scan and the standards' files, by species, lead to.

    Voxels are the detector's pixels. Raises InputError for what cannot be analyzed, or where nothing can be written.
    """
    standards = [read_spectrum(Path(path), name) for name, path in standards_paths.items()]
    with open_any([Path(scan_path)]) as scan:
        found = analyze(scan, standards, settings).map
    write_map(Path(out_path), found)

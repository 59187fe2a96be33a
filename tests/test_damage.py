"""Damaged scan files, and files that mislead: refused in one line, or read as they were written; nothing in between."""

import subprocess
import sys
from collections.abc import Callable

import h5py
import numpy as np
import pytest
from scan_files import READABLE, a_header, edited, order_of, same, write

from instrument.files import hdf5
from instrument.files.scans import open_any
from phantom import InputError

# Where each layout keeps counts; energies and angles.
FRAMES = {
    "native": ("projections", "flats", "darks"),
    "fxi": ("img_tomo", "img_bkg", "img_dark"),
    "dxchange": ("exchange/data", "exchange/data_white", "exchange/data_dark"),
    "nxtomo": ("entry/instrument/detector/data",),
}
NUMBERS = {
    "native": ("energies_eV", "angles_rad", "pixels_um", "time_s"),
    "fxi": ("X_eng", "angle"),
    "dxchange": ("measurement/instrument/monochromator/energy", "exchange/theta"),
    "nxtomo": ("entry/instrument/beam/incident_energy", "entry/sample/rotation_angle"),
}
SMALL = {"energies": (7126.5, 7100.0), "angles": 4, "rows": 2, "columns": 3, "flats": 3, "darks": 2}


def raw_values(path):
    """Ranges of a file's bytes that are the datasets' own numbers.

    None of the layouts protects those: another number there is another, valid file.
    """
    ranges = []

    def add(name, node):
        if isinstance(node, h5py.Dataset) and node.id.get_offset() is not None:
            ranges.append((node.id.get_offset(), node.id.get_offset() + node.id.get_storage_size()))

    with h5py.File(path) as file:
        file.visititems(add)
    return ranges


def check(folder, header, counts, order, damage):
    """A damaged scan gives InputError in one line, or what was written; returns whether it was refused."""
    try:
        with open_any([folder]) as scan:
            assert same(scan, header, counts, order), f"{damage}: read something else"
    except InputError as error:
        message = str(error)
        assert "\n" not in message, damage
        assert str(folder) in message, f"{damage}: names no file: {message}"
        return True
    return False


def damaged_bytes(path, seed):
    """(name, bytes) of a file truncated at many places, and with bytes flipped outside its numbers."""
    whole, rng = path.read_bytes(), np.random.default_rng(seed)
    for length in sorted({0, 1, 8, 64, len(whole) - 1, *rng.integers(0, len(whole), 20)}):
        yield f"cut to {length} of {len(whole)} bytes", whole[:length]
    taken = np.zeros(len(whole), bool)
    for start, end in raw_values(path):
        taken[start:end] = True
    free = np.flatnonzero(~taken)
    for position in [*free[:24], *rng.choice(free, 110, replace=False)]:
        changed = bytearray(whole)
        changed[position] ^= int(rng.choice([1, 2, 4, 8, 16, 32, 64, 128, 255]))
        yield f"byte {position} {whole[position]} -> {changed[position]}", bytes(changed)
    zeros = int(rng.choice(free))
    yield f"zeros from {zeros}", whole[:zeros] + bytes(len(whole) - zeros)


@pytest.mark.parametrize("layout", READABLE)
def test_files_with_damaged_bytes(tmp_path, layout):
    header = a_header(**SMALL)
    counts, order = write(tmp_path, layout, header), order_of(layout, header)
    path = sorted(tmp_path.iterdir())[0]
    whole, refused, tried = path.read_bytes(), 0, 0
    assert not check(tmp_path, header, counts, order, "none")
    for damage, content in list(damaged_bytes(path, 1)):
        path.write_bytes(content)
        refused += check(tmp_path, header, counts, order, damage)
        tried += 1
    assert tried > 150
    assert refused > 0.25 * tried
    path.write_bytes(whole)
    assert not check(tmp_path, header, counts, order, "none")


def empty_of(node):
    return np.zeros((0,) * max(1, node.ndim), node.dtype if node.dtype.kind in "iuf" else float)


def not_finite(node):
    return np.full(node.shape, np.nan) if node.dtype.kind in "iuf" else np.nan


# What may stand in place of any dataset or group of a file; None deletes it.
REPLACEMENTS: dict[str, Callable[[h5py.Dataset], object]] = {
    "nothing": lambda node: None,
    "text": lambda node: "seven",
    "one more axis": lambda node: node[...][None] if node.dtype.kind in "iuf" else [["a"]],
    "no values": empty_of,
    "not finite": not_finite,
    "complex": lambda node: np.ones(node.shape, complex),
    "a table": lambda node: np.zeros(max(node.shape, default=1), [("a", "i4"), ("b", "f8")]),
    "a broken link": lambda node: h5py.SoftLink("/nowhere"),
    "a link to itself": lambda node: h5py.SoftLink(node.name),
    "a missing file": lambda node: h5py.ExternalLink("missing.h5", "/x"),
}


def nodes(path):
    found = []
    with h5py.File(path) as file:
        file.visititems(lambda name, node: found.append((name, isinstance(node, h5py.Dataset))))
    return found


@pytest.mark.parametrize("layout", READABLE)
def test_files_with_another_thing_in_a_place(tmp_path, layout):
    header = a_header(**SMALL)
    counts, order = write(tmp_path, layout, header), order_of(layout, header)
    path = sorted(tmp_path.iterdir())[0]
    whole, refused = path.read_bytes(), {}
    for name, is_dataset in nodes(path):
        for what, make in REPLACEMENTS.items():
            if not is_dataset and what != "nothing" and "link" not in what:
                continue
            path.write_bytes(whole)
            with h5py.File(path, "r+") as file:
                value = make(file[name])
                del file[name]
                if value is not None:
                    file[name] = value
            refused[name, what] = check(tmp_path, header, counts, order, (name, what))
    needed = {*FRAMES[layout], *NUMBERS[layout]}
    missed = {(name, what) for name in needed for what in REPLACEMENTS if not refused[name, what]}
    # One energy may come as an array of one: so DXchange stores all its numbers.
    assert missed == ({(NUMBERS[layout][0], "one more axis")} if layout != "native" else set())


# Where each layout keeps energy, angles, pixel: name, factor to a believable wrong unit.
LIES = {
    "native": [("energies_eV", 1e-3), ("angles_rad", 180 / np.pi), ("pixels_um", 1e3), ("pixels_um", 1e-3), ("pixels_um", -1)],
    "fxi": [("X_eng", 1e3), ("X_eng", 1e-3), ("X_eng", -1), ("angle", np.pi / 180), ("angle", 1e3)]
    + [(name, factor) for name in ("Pixel Size", "Magnification") for factor in (1e3, 1e-3, -1, 0)],
    "dxchange": [("measurement/instrument/monochromator/energy", factor) for factor in (1e3, 1e-3, -1, 0)]
    + [("exchange/theta", np.pi / 180), ("exchange/theta", 1e3)]
    + [("measurement/instrument/detection_system/objective/resolution", factor) for factor in (1e3, 1e-3, -1, 0)],
    "nxtomo": [("entry/instrument/beam/incident_energy", factor) for factor in (1e3, 1e-3, -1, 0)]
    + [("entry/sample/rotation_angle", np.pi / 180), ("entry/sample/rotation_angle", 1e3)]
    + [("entry/sample/x_pixel_size", factor) for factor in (1e3, 1e-3, -1, 0)],
}


def rescale(node, factor):
    node[...] = factor * node[...]


@pytest.mark.parametrize("number", [0, None], ids=["one file", "all files"])
@pytest.mark.parametrize("layout", READABLE)
def test_values_in_another_unit_are_refused_not_guessed(tmp_path, layout, number):
    header = a_header(**SMALL)
    for n, (name, factor) in enumerate(LIES[layout]):
        folder = tmp_path / str(n)
        counts = write(folder, layout, header)
        edited(folder, lambda file, name=name, factor=factor: rescale(file[name], factor), number)
        assert check(folder, header, counts, order_of(layout, header), (name, factor)), (name, factor)


@pytest.mark.parametrize("unit", ["furlong", "", 7, np.array(["keV", "eV"], "S3"), b"\xff"])
@pytest.mark.parametrize("layout", ["fxi", "dxchange", "nxtomo"])
def test_unknown_units_are_refused(tmp_path, layout, unit):
    header = a_header(**SMALL)
    for n, name in enumerate({name for name, _ in LIES[layout]} - {"Pixel Size", "Magnification"}):
        counts = write(tmp_path / str(n), layout, header)
        edited(tmp_path / str(n), lambda file, name=name: file[name].attrs.update(units=unit))
        # An empty unit says nothing: the layout's own holds.
        refused = check(tmp_path / str(n), header, counts, order_of(layout, header), (name, unit))
        assert refused == (not isinstance(unit, str) or unit != "")


@pytest.mark.parametrize(
    ("layout", "one", "other"),
    [
        ("native", "flats", "darks"),
        ("native", "energies_eV", "pixels_um"),
        ("fxi", "img_bkg", "img_dark"),
        ("fxi", "img_tomo", "img_dark"),
        ("fxi", "angle", "X_eng"),
        ("fxi", "img_tomo", "img_bkg"),
        ("dxchange", "exchange/data_white", "exchange/data_dark"),
        ("dxchange", "exchange/data", "exchange/data_white"),
        ("dxchange", "exchange/theta", "process/acquisition/projection_time"),
        ("nxtomo", "entry/sample/rotation_angle", "entry/instrument/detector/image_key"),
        ("nxtomo", "entry/instrument/detector/count_time", "entry/sample/rotation_angle"),
    ],
)
def test_swapped_datasets_are_refused(tmp_path, layout, one, other):
    header = a_header(**SMALL)
    counts = write(tmp_path, layout, header)

    def swap(file):
        file.move(one, "aside")
        file.move(other, one)
        file.move("aside", other)

    edited(tmp_path, swap)
    assert check(tmp_path, header, counts, order_of(layout, header), (one, other))


def test_mislabelled_frames_are_refused(tmp_path):
    """A key of one file changed in every frame to every other; in all files, flats taken for darks."""
    header = a_header(**SMALL)
    counts, order = write(tmp_path, "nxtomo", header), order_of("nxtomo", header)
    path, name = sorted(tmp_path.iterdir())[0], "entry/instrument/detector/image_key"
    with h5py.File(path) as file:
        keys = file[name][...]
    for frame in range(len(keys)):
        for key in {0, 1, 2, 3, 4, -1} - {keys[frame]}:
            changed = keys.copy()
            changed[frame] = key
            edited(tmp_path, lambda file, changed=changed: file[name].write_direct(changed), 0)
            assert check(tmp_path, header, counts, order, (frame, key)), (frame, key)
    edited(tmp_path, lambda file: file[name].write_direct(np.array([0, 2, 1])[keys].astype(keys.dtype)))
    assert check(tmp_path, header, counts, order, "flats for darks")


HUGE = [(10**12,), (4, 10**6, 10**6), (10**9, 4, 4), (2**40, 2**40, 2**40), (2, 10**9, 4, 4), (10**6,) * 4]


@pytest.mark.parametrize("layout", READABLE)
@pytest.mark.parametrize("shape", HUGE)
def test_what_declares_more_than_it_holds_is_not_allocated(tmp_path, layout, shape):
    header = a_header(**SMALL)
    counts = write(tmp_path, layout, header)
    path = sorted(tmp_path.iterdir())[0]
    whole = path.read_bytes()
    for name in (*FRAMES[layout], *NUMBERS[layout]):
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            del file[name]
            file.create_dataset(name, shape, np.uint8, chunks=(1,) * (len(shape) - 1) + (4,), compression="gzip")
        assert check(tmp_path, header, counts, order_of(layout, header), (name, shape))
        with h5py.File(path) as file, pytest.raises(InputError, match="declares"):
            hdf5.dataset(file, name, len(shape))


def test_a_shape_that_does_not_fit_what_is_stored(tmp_path):
    """Metadata of older files carry no checksum: rows that vanish or appear show in the bytes stored."""
    path = tmp_path / "old.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        file["frames"] = np.ones((3, 5, 7), np.uint16)
    whole, shape = path.read_bytes(), np.array([3, 5, 7], "<u8").tobytes()
    assert shape in whole
    for other in ([3, 4, 7], [2, 5, 7], [3, 5, 8], [3, 5, 15000]):
        path.write_bytes(whole.replace(shape, np.array(other, "<u8").tobytes()))
        # What asks for more than the file has, the library may notice itself.
        with pytest.raises(InputError, match=r"declares|cannot be read"), hdf5.opened(path, "scan") as file, hdf5.reading(path):
            hdf5.frames(file, "frames")
    path.write_bytes(whole)
    with h5py.File(path) as file:
        assert hdf5.frames(file, "frames")[1].shape == (5, 7)


def test_numbers_of_another_layout_are_not_converted(tmp_path):
    """The bias of an exponent, changed in a header without checksum, would turn every energy into another one."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        kind = h5py.h5t.IEEE_F64LE.copy()
        kind.set_ebias(1022)
        h5py.h5d.create(file.id, b"strange", kind, h5py.h5s.create_simple((3,)))
        file["plain"] = np.arange(3.0)
        assert list(hdf5.values(file, "plain")) == [0, 1, 2]
        with pytest.raises(InputError, match="unknown layout"):
            hdf5.values(file, "strange")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(4000), bytes(4000)])
@pytest.mark.parametrize("layout", READABLE)
def test_what_is_no_hdf5_file_is_refused(tmp_path, layout, content):
    header = a_header(**SMALL)
    counts = write(tmp_path, layout, header)
    sorted(tmp_path.iterdir())[0].write_bytes(content)
    assert check(tmp_path, header, counts, order_of(layout, header), content)


def test_a_heap_of_strings_that_the_library_would_walk_for_ever(tmp_path):
    write(tmp_path, "nxtomo", a_header(**SMALL))
    path = sorted(tmp_path.iterdir())[0]
    content = bytearray(path.read_bytes())
    heap = content.find(b"GCOL")
    assert heap > 0
    content[heap + 16 : heap + 32] = bytes(16)
    path.write_bytes(content)
    code = (
        f"from pathlib import Path\nfrom instrument.files.scans import open_any\nopen_any([Path({str(tmp_path)!r})]).__enter__()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert "InputError" in done.stderr.splitlines()[-1]
    assert "not a readable HDF5 file" in done.stderr


def test_frames_that_cannot_be_read_are_told_when_they_are_read(tmp_path):
    """A compressed block that is damaged: nothing shows it before its frames are read."""
    header = a_header(rows=16, columns=16)
    write(tmp_path, "fxi", header)
    path = sorted(tmp_path.iterdir())[0]
    with h5py.File(path, "r+") as file:
        frames = file["img_tomo"][...]
        del file["img_tomo"]
        packed = file.create_dataset("img_tomo", data=frames, chunks=(1, 16, 16), compression="gzip", fletcher32=True)
        where = packed.id.get_chunk_info(2).byte_offset
    content = bytearray(path.read_bytes())
    content[where + 20] ^= 255
    path.write_bytes(content)
    with open_any([tmp_path]) as scan:
        assert np.array_equal(scan.projections[2, 1], frames[1])
        with pytest.raises(InputError, match=r"fly_scan_id_10001\.h5: its data cannot be read") as caught:
            scan.projections[2, :, 3:5]
        assert "\n" not in str(caught.value)


def test_a_virtual_dataset_is_read_and_missed(tmp_path):
    header = a_header()
    counts = write(tmp_path / "scan", "fxi", header)
    for path in sorted((tmp_path / "scan").iterdir()):
        with h5py.File(path, "r+") as file, h5py.File(tmp_path / f"raw-{path.name}", "w") as raw:
            raw["frames"] = file["img_tomo"][...]
            layout = h5py.VirtualLayout(raw["frames"].shape, np.uint16)
            layout[:] = h5py.VirtualSource(f"../raw-{path.name}", "frames", raw["frames"].shape)
            del file["img_tomo"]
            file.create_virtual_dataset("img_tomo", layout)
    with open_any([tmp_path / "scan"]) as scan:
        assert same(scan, header, counts, order_of("fxi", header))
    (tmp_path / "raw-fly_scan_id_10002.h5").unlink()
    with pytest.raises(InputError, match="is missing"), open_any([tmp_path / "scan"]):
        pass

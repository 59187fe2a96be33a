"""What may be typed: the commands of txm-twin and their options."""

import argparse
import sys
from pathlib import Path
from typing import Any

from phantom.errors import InputError


class _Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> Any:
        raise InputError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """The parser; the command's name is left in `command`."""
    whole = _Parser(prog="txm-twin", description="A digital twin of full-field TXM XANES tomography of battery particles.")
    commands = whole.add_subparsers(required=True, dest="command", metavar="COMMAND", parser_class=_Parser)

    run = commands.add_parser("run", help="the closed loop: simulate, analyze, score, report")
    _study_arguments(run)
    run.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of the run (default run-NAME)")
    run.add_argument("--method", metavar="METHOD", help=METHOD)
    _guest_arguments(run, 600.0)
    run.add_argument("--engine", help="reconstruction: fbp, cgls, sirt, tv, tomopy")
    run.add_argument("--threads", type=int, help="worker threads (default: all cores); results do not depend on it")
    run.add_argument("--budget", action="store_true", help="the error budget: what each effect costs; takes some minutes")
    run.add_argument("--replicates", type=int, default=3, metavar="N", help="seeds of the budget, for its uncertainty")
    run.add_argument("--dry-run", action="store_true", help="say time, memory, disk and dose, and stop")
    run.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="EXPR",
        help="a score, < <= > >=, a number: 'abs(pull_mean) < 0.1'; repeatable",
    )

    simulate = commands.add_parser("simulate", help="scan files, standards and charge curve, and the truth")
    _study_arguments(simulate)
    simulate.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the files")
    simulate.add_argument("--format", default="native", help="layout of the scan: native, fxi, dxchange, 32id, nxtomo, mantis")
    simulate.add_argument("--blind", type=Path, metavar="DIR", help="another folder for truth and study")
    simulate.add_argument("--threads", type=int, help="worker threads (default: all cores); results do not depend on it")

    _analyze_arguments(commands.add_parser("analyze", help="the analysis alone, on simulated or beamline files"))

    studies = commands.add_parser("studies", help="the built-in studies and presets, a line each")
    studies.add_argument("--show", metavar="NAME", help="one study as commented TOML, or a preset")

    _score_arguments(commands.add_parser("score", help="score any result against a truth"))

    compare = commands.add_parser("compare", help="several methods on the same scans, side by side")
    compare.add_argument("methods", nargs="+", metavar="METHOD", help=METHOD)
    compare.add_argument("--study", default="default", help="a TOML file or a built-in study (default: default)")
    _setting_arguments(compare)
    compare.add_argument("--seeds", type=int, default=3, metavar="N", help="scans, of as many seeds from the study's on")
    compare.add_argument("--scores", metavar="NAME,...", help="scores to show")
    compare.add_argument("--json", action="store_true", help="print JSON")
    _guest_arguments(compare, 600.0)
    compare.add_argument("--threads", type=int, help="worker threads (default: all cores); results do not depend on it")

    calibrate = commands.add_parser("calibrate", help="whether sigma can be trusted, over many scans; go or no go")
    _study_arguments(calibrate)
    calibrate.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of the page (default calibration-NAME)")
    calibrate.add_argument("--seeds", type=int, default=8, metavar="N", help="scans, of as many seeds from the study's on")
    calibrate.add_argument("--sigma", type=float, metavar="S", help="wanted rms error of x in a voxel: go or no go")
    calibrate.add_argument("--method", metavar="METHOD", help=METHOD)
    _guest_arguments(calibrate, 600.0)
    calibrate.add_argument("--threads", type=int, help="worker threads (default: all cores); results do not depend on it")

    baseline = commands.add_parser("baseline", help="store scores; later, what changed beyond noise")
    baseline.add_argument("file", type=Path, metavar="FILE", help="the baseline: made where it is not there, else compared with")
    baseline.add_argument("--study", help="a TOML file or a built-in study (default: default)")
    _setting_arguments(baseline)
    baseline.add_argument("--method", metavar="METHOD", help=METHOD)
    baseline.add_argument("--seeds", type=int, metavar="N", help="scans, of as many seeds from the study's on (default: 5)")
    baseline.add_argument("--renew", action="store_true", help="make it again")
    baseline.add_argument("--threads", type=int, help="worker threads (default: all cores); results do not depend on it")

    check = commands.add_parser("check", help="a function of yours held to the laws of its role")
    check.add_argument("function", metavar="FUNCTION", help="path/file.py:name or module:name")
    check.add_argument(
        "--as", dest="role", required=True, choices=("engine", "fit", "align", "pipeline"), help="the role it plays"
    )
    check.add_argument(
        "--except",
        dest="left_out",
        default="",
        metavar="LAW,...",
        help="laws that it does not promise, or: linear, slicewise, ...",
    )
    check.add_argument("--examples", type=int, metavar="N", help="cases for each law (default: its own number)")
    check.add_argument("--seed", type=int, default=0, help="of the cases")
    _guest_arguments(check, None)

    _plan_arguments(commands.add_parser("plan", help="energies, exposures, views and dose for a wanted precision"))
    commands.add_parser("doctor", help="versions, engines, threads, memory, a short self-test")
    return whole


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    _study_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of the plan (default plan-NAME)")
    wish = parser.add_argument_group("what is wanted")
    wish.add_argument("--sigma", type=float, metavar="S", help="rms error of x by noise in a voxel of the interior")
    wish.add_argument("--voxel", type=float, metavar="UM", help="voxel, um (default: the study's)")
    wish.add_argument("--max-dose-MGy", type=float, dest="max_dose_MGy", metavar="D", help="mean dose of the particle")
    wish.add_argument("--max-hours", type=float, metavar="H", help="duration of the scan")
    wish.add_argument("--fractions", metavar="X,...", help="phase fractions to be told (default: 0,0.25,0.5,0.75,1)")
    wish.add_argument("--third", metavar="NAME[=SHARE]", help="in spite of a third phase: " + THIRD)
    wish.add_argument("--after", type=Path, metavar="DIR", help="go on from a first map: a run's folder or a result file")
    limits = parser.add_argument_group("what a scan may be")
    limits.add_argument("--points", type=int, metavar="N", help="number of energies (default: two more than unknowns)")
    limits.add_argument("--flats", type=int, metavar="N", help="flats at each energy (default: the study's)")
    limits.add_argument("--equal", action="store_true", help="one exposure at all energies")
    limits.add_argument("--spacing", type=float, default=2.0, metavar="EV", help="least distance of energies, eV (default: 2)")
    limits.add_argument("--spare", choices=("dose", "photons", "time"), help="what the energies are chosen to spare")
    limits.add_argument("--criterion", choices=("c", "A", "D"), default="c", help="optimal for x (c) or both amounts (A, D)")
    parser.add_argument("--verify", action="store_true", help="run the plan with several seeds")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="of --verify")
    parser.add_argument("--threads", type=int, help="worker threads (default: all cores); results do not depend on it")


THIRD = "hematite, amorphous, pyrophosphate, phosphide (parametric guesses)"


def _guest_arguments(parser: argparse.ArgumentParser, limit_s: float | None) -> None:
    default = f"{limit_s:g}" if limit_s else "10, of a pipeline 60"
    what = f"seconds that one call of a user's function or program may take (default: {default})"
    parser.add_argument("--limit", type=float, default=limit_s, metavar="S", help=what)
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="interpreter for a user's functions")


def _score_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("truth", type=Path, help="truth.h5")
    parser.add_argument("result", type=Path, help="a file or folder: ours, TIFF, NumPy, TXM-Sandbox, PyXAS")
    parser.add_argument("--json", action="store_true", help="print JSON")
    grid = parser.add_argument_group("the result's grid")
    grid.add_argument("--axes", default="zyx", help="order of its axes, a minus before one that runs backwards: ZYX, z-yx")
    grid.add_argument("--voxel", type=float, metavar="UM", help="its voxel size, um, where its files do not say it")
    grid.add_argument("--center", metavar="Z,Y,X", help="voxel on the rotation axis in the middle row (default: its middle)")
    kind = parser.add_argument_group("what its numbers are")
    kind.add_argument("--species", metavar="NAME,...", help="its components in their order (default LFP,FP)")
    kind.add_argument("--scale", type=float, help="what stands for 1 in integers, such as 255")
    fit = parser.add_argument_group("attenuation at many energies, to be fitted")
    fit.add_argument("--standards", nargs="+", metavar="NAME=FILE", help="LFP=FILE FP=FILE; FILE:COLUMN")
    fit.add_argument("--energies", metavar="LIST", help="eV or keV, with commas between or a file, in the order of the volumes")
    fit.add_argument("--unit", default="pixel", choices=("pixel", "um", "cm"), help="attenuation per what (default pixel)")
    fit.add_argument("--background", default="constant", choices=("none", "constant", "linear"), help="fitted beside them")


def _analyze_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scan", nargs="+", type=Path, help="files of a scan (native, fxi, dxchange, nxtomo) or their folder")
    parser.add_argument("--standards", nargs="+", required=True, metavar="NAME=FILE", help="LFP=FILE FP=FILE; FILE:COLUMN")
    parser.add_argument("-o", "--output", type=Path, default=Path("analysis"), metavar="DIR", help="folder of result.h5")
    parser.add_argument(
        "--charge", type=Path, metavar="CSV", help="charge curve that ends with the scan, to compare the counted charge"
    )
    parser.add_argument("--foil", metavar="FILE", help="spectrum of iron foil on the scan's scale of energy; FILE:COLUMN")
    parser.add_argument("--threads", type=int, help="worker threads (default: all cores); results do not depend on it")
    part = parser.add_argument_group("the part of the scan")
    part.add_argument("--bin", type=int, default=1, metavar="N", help="bin N x N pixels before all else")
    part.add_argument("--roi", metavar="R0:R1,C0:C1", help="rows and columns of the detector to keep, ends excluded")
    part.add_argument("--center", type=float, metavar="PX", help="column of the rotation axis on the detector")
    part.add_argument("--energies", metavar="LOW:HIGH", help="energies to keep, eV; several ranges with commas")
    part.add_argument("--angles", metavar="[START:STOP:]STEP", help="projections to keep; several with commas")
    prepare = parser.add_argument_group("what is repaired (analysis.prepare)")
    prepare.add_argument("--zingers", type=float, metavar="SIGMA", help="bridge pixels brighter than their neighbours by that")
    prepare.add_argument("--rings", metavar="KIND", help="errors of pixels that all views share: none, mean, sorting")
    prepare.add_argument("--border", type=int, metavar="PX", help="open columns at both sides, by which frames are scaled")
    prepare.add_argument("--flats-in-time", action="store_true", help="interpolate flats before and after the projections")
    found = parser.add_argument_group("what is found from the frames (analysis.align)")
    found.add_argument("--align", metavar="LIST", help="of center, shifts, magnification[=linear|free], roll, rings, energy")
    fit = parser.add_argument_group("how the maps are made (analysis)")
    fit.add_argument("--method", help="order of the steps: image, projection, joint")
    fit.add_argument("--engine", help="reconstruction: fbp, cgls, sirt, tv, tomopy")
    fit.add_argument("--window", help="window on the ramp filter: ramp, shepp-logan, cosine, hann")
    fit.add_argument("--background", help="fitted beside the standards: none, constant, linear")
    fit.add_argument("--constraint", help="on a voxel's amounts: free, nonnegative, sum-one, mixture")
    fit.add_argument("--weights", help="of the energies in a fit: energy, ray")


METHOD = (
    "image, projection or joint, with KEY=VALUE of the table analysis after commas; engine=path/file.py:name, "
    "fit=path/file.py:name; "
    "path/file.py:name or module:name, a pipeline; command=PROGRAM ..., with {scan}, {lfp}, {fp}, {charge}, {result}"
)


def _study_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", default="default", help="a TOML file or a built-in study (default: default)")
    _setting_arguments(parser)


def _setting_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; repeatable")
    parser.add_argument("--seed", type=int, help="seed of every random draw")

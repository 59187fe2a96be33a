"""The command line, txm-twin. Heavy modules are imported where they are used."""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phantom.errors import InputError

if TYPE_CHECKING:
    from .study import Study

DONE, NOT_HELD, BAD_INPUT = 0, 1, 2


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit status: 0 done, 1 a requirement did not hold, 2 bad input."""
    # Workers share the cores themselves; a threaded BLAS beneath them would only fight for them.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    try:
        arguments = _parser().parse_args(argv)
        return int(arguments.command(arguments))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except InputError as error:
        print(f"txm-twin: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"txm-twin: {where}{error.strerror or error}; the file or its disk cannot be used, choose another", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("txm-twin: interrupted; nothing was written", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> Any:
        raise InputError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="txm-twin", description="A digital twin of full-field TXM XANES tomography of battery particles.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    run = commands.add_parser("run", help="the closed loop: simulate, analyze, score, report")
    _study_arguments(run)
    run.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of the run (default run-NAME)")
    run.add_argument("--method", help="order of the analysis' steps (analysis.method)")
    run.add_argument("--engine", help="reconstruction engine (analysis.engine)")
    run.add_argument("--threads", type=int, help="worker threads (default: all cores); results do not depend on it")
    run.add_argument("--dry-run", action="store_true", help="say time, memory, disk and dose, and stop")
    run.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="EXPR",
        help="a score, < <= > >=, a number: 'abs(pull_mean) < 0.1'; repeatable",
    )
    run.set_defaults(command=_run)

    studies = commands.add_parser("studies", help="the built-in studies, a line each")
    studies.add_argument("--show", metavar="NAME", help="one study as commented TOML")
    studies.set_defaults(command=_studies)

    score = commands.add_parser("score", help="score any result against a truth")
    score.add_argument("truth", type=Path)
    score.add_argument("result", type=Path)
    score.add_argument("--json", action="store_true", help="print JSON")
    score.add_argument("--axes", default="zyx", help="order of the result's axes, such as ZYX")
    score.add_argument("--voxel", type=float, metavar="UM", help="voxel size of the result, um")
    score.set_defaults(command=_score)

    doctor = commands.add_parser("doctor", help="versions, engines, threads, memory, a short self-test")
    doctor.set_defaults(command=_doctor)
    return parser


def _study_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", default="default", help="a TOML file or a built-in study (default: default)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; repeatable")
    parser.add_argument("--seed", type=int, help="seed of every random draw")


def _load(arguments: argparse.Namespace) -> "Study":
    from .study import load_study, parse_setting

    changes = dict(parse_setting(text) for text in arguments.set)
    for key, value in (("seed", arguments.seed), ("analysis.method", arguments.method), ("analysis.engine", arguments.engine)):
        if value is not None:
            changes[key] = value
    return load_study(arguments.study, changes)


def _threads(wanted: int | None) -> int:
    if wanted is not None and wanted < 1:
        raise InputError(f"--threads: found {wanted}; allowed 1 or more")
    try:
        return wanted or len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def _run(arguments: argparse.Namespace) -> int:
    from .require import parse_requirement

    requirements = [parse_requirement(text) for text in arguments.require]
    study = _load(arguments)
    from .run import forecast, run
    from .verdict import dose_in_words

    if arguments.dry_run:
        guess = forecast(study)
        print(
            f"{study.name}: about {guess['time_s']:.0f} s on 2 cores, "
            f"{guess['memory_GB']:.1f} GB of memory, {guess['disk_GB']:.2f} GB on disk"
        )
        print(f"dose: {dose_in_words(guess['dose_MGy'], study)}")
        return DONE
    folder = arguments.output or Path(f"run-{study.name}")
    from .progress import Reporter

    with Reporter() as progress:
        outcome = run(study, folder, threads=_threads(arguments.threads), progress=progress)
    scores = outcome.scores
    print(f"\n{study.name}, seed {study.seed}: {scores['elapsed_s']:.1f} s, {scores['peak_memory_GB']:.2f} GB")
    for name in _SHOWN:
        if scores[name] is not None:
            print(f"  {name:<22}{scores[name]:>10.4g}")
    print(f"  dose: {dose_in_words(scores['dose_MGy'], study)}")
    print(f"  report: {outcome.folder / 'report.html'}")
    failed = [requirement for requirement in requirements if not requirement.holds(scores)]
    for requirement in failed:
        print(f"  not held: {requirement.text} (found {scores[requirement.name]})")
    print(f"\n{outcome.sentence}")
    return NOT_HELD if failed else DONE


_SHOWN = (
    "phase_rmse",
    "phase_rmse_interior",
    "bulk_fraction_truth",
    "bulk_fraction_found",
    "dice_LFP",
    "dice_FP",
    "pull_mean",
    "pull_std",
    "coverage_68",
    "front_distance_um",
    "fsc_truth_phase_um",
)


def _studies(arguments: argparse.Namespace) -> int:
    from .study import built_in, load_study
    from .study_text import commented_toml

    if arguments.show is not None:
        print(commented_toml(load_study(arguments.show)), end="")
        return DONE
    names = built_in()
    width = max(len(name) for name in names) + 2
    for name in names:
        print(f"{name:<{width}}{load_study(name).description}")
    return DONE


def _score(arguments: argparse.Namespace) -> int:
    from .files import read_map
    from .scores import score

    scores = score(read_map(arguments.truth), read_map(arguments.result, arguments.voxel, arguments.axes))
    if arguments.json:
        print(json.dumps(scores, indent=1, allow_nan=False))
    else:
        for name, value in scores.items():
            print(f"{name:<26}{'null' if value is None else f'{value:.6g}':>12}")
    return DONE


def _doctor(arguments: argparse.Namespace) -> int:
    from .doctor import examine

    return DONE if examine(_threads(None)) else NOT_HELD


if __name__ == "__main__":
    sys.exit(main())

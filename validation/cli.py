"""The command line, txm-twin. Heavy modules are imported where they are used."""

import argparse
import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from phantom.errors import InputError

from .arguments import parser
from .failure import MethodFailed

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
        arguments = parser().parse_args(argv)
        return _COMMANDS[arguments.command](arguments)
    except MethodFailed as error:
        print(f"txm-twin: no map: {' '.join(str(error).split())}", file=sys.stderr)
        return NOT_HELD
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
    except MemoryError as error:
        print(
            f"txm-twin: memory: {str(error) or 'there is none left'}; lower scan.rows, columns, outside_px or oversampling; "
            "run --dry-run says what a study needs",
            file=sys.stderr,
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        print("txm-twin: interrupted; nothing was written", file=sys.stderr)
        return 130


def _load(arguments: argparse.Namespace) -> "Study":
    from .study import load_study, parse_setting

    changes = dict(parse_setting(text) for text in arguments.set)
    named = vars(arguments)
    for key, name in (("seed", "seed"), ("analysis.engine", "engine")):
        if named.get(name) is not None:
            changes[key] = named[name]
    return load_study(arguments.study, changes)


def _threads(wanted: int | None) -> int:
    if wanted is not None and wanted < 1:
        raise InputError(f"--threads: found {wanted}; allowed 1 or more")
    try:
        return wanted or len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def _at_least_one(option: str, value: int) -> int:
    if value < 1:
        raise InputError(f"{option}: found {value}; allowed is 1 or more")
    return value


def _python(arguments: argparse.Namespace) -> str:
    found = shutil.which(arguments.python)
    if found is None:
        raise InputError(f"--python: found {arguments.python}; allowed is an interpreter that can be started")
    return str(Path(found).absolute())  # not resolved: an environment is known by its link


def _limit(arguments: argparse.Namespace) -> float:
    limit: float = arguments.limit
    if not 0 < limit <= 86400:
        raise InputError(f"--limit: found {limit:g}; allowed is above 0 and up to 86400 s")
    return limit


def _run(arguments: argparse.Namespace) -> int:
    from .require import parse_requirement

    requirements = [parse_requirement(text) for text in arguments.require]
    study = _load(arguments)
    from .forecast import forecast
    from .methods import parse_method
    from .run import run
    from .verdict import dose_in_words

    method = parse_method(arguments.method or "", _limit(arguments), _python(arguments))
    study = method.applied_to(study)

    if arguments.dry_run:
        guess = forecast(study)
        print(
            f"{study.name}: about {guess['time_s']:.0f} s on 2 cores, "
            f"{guess['memory_GB']:.1f} GB of memory, {guess['disk_GB']:.2f} GB on disk"
        )
        print(f"dose: {dose_in_words(guess['dose_MGy'], study)}")
        return DONE
    folder = arguments.output or Path(f"run-{study.name}")
    from .progress import RUN, Reporter, stages

    seeds = 0
    if arguments.budget:
        seeds = _at_least_one("--replicates", arguments.replicates)
    with Reporter(stages(RUN, study.analysis, budget=arguments.budget)) as progress:
        outcome = run(study, folder, method=method, budget_seeds=seeds, threads=_threads(arguments.threads), progress=progress)
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
    return NOT_HELD if failed or outcome.failed else DONE


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


def _simulate(arguments: argparse.Namespace) -> int:
    study = _load(arguments)
    from .export import export
    from .progress import SIMULATE, Reporter
    from .verdict import dose_in_words

    threads = _threads(arguments.threads)
    with Reporter(SIMULATE) as progress:
        done = export(study, arguments.output, layout=arguments.format, blind=arguments.blind, threads=threads, progress=progress)
    first, *rest = done.scan_files
    scan = f"{first} .. {rest[-1]} ({len(done.scan_files)} files)" if rest else first
    print(f"\n{study.name}, seed {study.seed}, as {arguments.format}: {arguments.output / scan}")
    print(f"  standards: {arguments.output / 'standards'}")
    print(f"  truth: {(arguments.blind or arguments.output) / 'truth.h5'}")
    whole = " (of the whole scan; these files hold its first angle)" if arguments.format in ("32id", "mantis") else ""
    print(f"  scan time: {study.scan.time_s / 60:.1f} min; dose: {dose_in_words(done.ledger.mean_MGy, study)}{whole}")
    return DONE


def _analyze(arguments: argparse.Namespace) -> int:
    from .beamline import Wishes, analyze_files, settings_of

    wishes = Wishes(
        bin=arguments.bin,
        roi=arguments.roi,
        center_px=arguments.center,
        energies=arguments.energies,
        angles=arguments.angles,
    )
    settings = settings_of(vars(arguments))
    from .progress import Reporter, stages

    with Reporter(stages(("analyze",), settings)) as progress:
        lines = analyze_files(
            arguments.scan,
            arguments.standards,
            arguments.output,
            wishes,
            settings,
            foil=arguments.foil,
            charge=arguments.charge,
            threads=_threads(arguments.threads),
            progress=progress,
        )
    print("\n".join(lines))
    return DONE


def _studies(arguments: argparse.Namespace) -> int:
    from .study import PRESETS, built_in, load_study, presets
    from .study_text import commented_toml

    if arguments.show in presets():
        print((PRESETS / f"{arguments.show}.toml").read_text(), end="")
        return DONE
    if arguments.show is not None:
        print(commented_toml(load_study(arguments.show)), end="")
        return DONE
    names = built_in()
    width = max(len(name) for name in names) + 2
    for name in names:
        print(f"{name:<{width}}{load_study(name).description}")
    print('\npresets, beneath a study\'s own settings: --set presets=NAME or --set \'presets=["NAME", "NAME"]\'')
    for name in presets():
        first = (PRESETS / f"{name}.toml").read_text().partition("\n")[0]
        print(f"{name:<{width}}{first.removeprefix('# ')}")
    return DONE


def _score(arguments: argparse.Namespace) -> int:
    from .files import read_map
    from .results import read_result, stated_from
    from .results.handed import better_axes
    from .scores import score

    stated, assumed = stated_from(vars(arguments)), list[str]()
    truth = read_map(arguments.truth)
    found = read_result(arguments.result, stated, truth=truth, tell=assumed.append)
    scores = score(truth, found)
    if better := better_axes(truth, found, stated):
        assumed.append(f"{arguments.result}: {better}")
    if arguments.json:
        print(json.dumps(scores, indent=1, allow_nan=False))
    else:
        for name, value in scores.items():
            print(f"{name:<26}{'null' if value is None else f'{value:.6g}':>12}")
    for line in assumed:
        print(f"txm-twin: {line}", file=sys.stderr)
    return DONE


def _check(arguments: argparse.Namespace) -> int:
    from .check import check

    if arguments.examples is not None:
        _at_least_one("--examples", arguments.examples)
    options = {
        "left_out": arguments.left_out,
        "examples": arguments.examples,
        "seed": arguments.seed,
        "limit_s": None if arguments.limit is None else _limit(arguments),
        "python": _python(arguments),
    }
    held = broken = 0
    for found in check(arguments.function, arguments.role, **options):
        if found.holds:
            held += 1
            print(f"holds   {found.law.name}", flush=True)
            continue
        broken += 1
        print(f"BROKEN  {found.law.name}: {found.message}\n        the law: {found.law.claim}")
        if found.case is not None:
            print(f"        the case: {found.case}, seed {arguments.seed}", flush=True)
    print(f"\n{held} of {held + broken} laws hold for {arguments.function} as {arguments.role}")
    return NOT_HELD if broken else DONE


def _compare(arguments: argparse.Namespace) -> int:
    from .files import versions
    from .methods import parse_method
    from .progress import Reporter
    from .replicates.compare import SCORES, compare, table
    from .score_names import known_score

    study = _load(arguments)
    methods = [parse_method(text, _limit(arguments), _python(arguments)) for text in arguments.methods]
    _at_least_one("--seeds", arguments.seeds)
    names = SCORES if arguments.scores is None else tuple(known_score("--scores", name) for name in arguments.scores.split(","))
    with Reporter(("replicate",)) as progress:
        found = compare(study, methods, arguments.seeds, threads=_threads(arguments.threads), progress=progress)
    if arguments.json:
        print(json.dumps(found.as_dict(names) | {"versions": versions()}, indent=1, allow_nan=False))
    else:
        print(f"\n{study.name}, seeds {found.seeds[0]} to {found.seeds[-1]}; mean ± standard error")
        print("\n".join(table(found, names)))
        print("; ".join(f"{name} {version}" for name, version in versions().items()))
    for failure in found.failures:
        print(f"no map: {failure}", file=sys.stderr)
    return NOT_HELD if found.failures else DONE


def _calibrate(arguments: argparse.Namespace) -> int:
    from .methods import parse_method
    from .pages.calibration import render
    from .progress import Reporter
    from .replicates.calibration import calibrate
    from .replicates.go import decide
    from .staging import whole_text

    study = _load(arguments)
    if arguments.sigma is not None and not 0 < arguments.sigma < 1:
        raise InputError(f"--sigma: found {arguments.sigma:g}; allowed is an rms error of x, above 0 and below 1")
    method = parse_method(arguments.method or "", _limit(arguments), _python(arguments))
    with Reporter(("replicate",)) as progress:
        found = calibrate(study, method, arguments.seeds, threads=_threads(arguments.threads), progress=progress)
    decision = None if arguments.sigma is None else decide(found, arguments.sigma)
    folder = arguments.output or Path(f"calibration-{study.name}")
    plain = found.as_dict() | ({} if decision is None else {"decision": decision.as_dict()})
    whole_text(folder / "calibration.json", json.dumps(plain, indent=1, allow_nan=False) + "\n")
    whole_text(folder / "calibration.html", render(found, decision))
    print(f"\n{study.name}, {len(found.seeds)} scans: {found.sentence}")
    for line in [] if decision is None else decision.lines:
        print(line)
    print(f"  page: {folder / 'calibration.html'}")
    return DONE if decision is None or decision.is_go else NOT_HELD


def _baseline(arguments: argparse.Namespace) -> int:
    from .methods import parse_method
    from .progress import Reporter
    from .replicates.baseline import compare_with, lines, load, measure, save
    from .study import digest

    path, threads = arguments.file, _threads(arguments.threads)
    given = arguments.study is not None or arguments.set or arguments.seed is not None or arguments.method is not None
    new = arguments.renew or not path.exists()
    before = None if new else load(path)
    arguments.study = arguments.study or "default"
    study = _load(arguments) if new or given else None
    if before is not None and study is not None:
        asked = (digest(study), study.seed, arguments.method or "")
        if asked != (digest(before.study), before.study.seed, before.method):
            raise InputError(f"{path}: was made of another study, seed or method; allowed is to leave them out, or --renew")
    if before is not None and arguments.seeds not in (None, len(before.seeds)):
        raise InputError(
            f"{path}: holds {len(before.seeds)} seeds, found --seeds {arguments.seeds}; allowed is as many, or --renew"
        )
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise InputError(f"{path}: cannot be written; choose a folder that is there and yours")
    with Reporter(("replicate",)) as progress:
        if before is not None:
            found = compare_with(before, threads=threads, progress=progress)
            print(f"\n{before.study.name}, seeds {before.seeds[0]} to {before.seeds[-1]}, against {path}")
            print("\n".join(lines(found)))
            return DONE if all(one.holds for one in found) else NOT_HELD
        assert study is not None
        seeds = tuple(range(study.seed, study.seed + _at_least_one("--seeds", 5 if arguments.seeds is None else arguments.seeds)))
        stored = measure(study, parse_method(arguments.method or ""), seeds, threads=threads, progress=progress)
    save(path, stored)
    print(f"\n{study.name}, {len(seeds)} seeds: scores stored in {path}")
    return DONE


def _plan(arguments: argparse.Namespace) -> int:
    from .pages.plan import render
    from .planning import FRACTIONS, Wish, before, curves, motion, nuisances, plan, plan_csv, plan_json, sentences
    from .progress import Reporter
    from .staging import whole_text
    from .study_text import study_toml

    _at_least_one("--seeds", arguments.seeds)
    study = _load(arguments)
    wish = Wish(
        sigma=arguments.sigma,
        voxel_um=arguments.voxel,
        max_dose_MGy=arguments.max_dose_MGy,
        max_hours=arguments.max_hours,
        points=arguments.points,
        flats=arguments.flats,
        equal=arguments.equal,
        criterion=arguments.criterion,
        budget=arguments.spare,
        third=arguments.third,
        spacing_eV=arguments.spacing,
        fractions=FRACTIONS if arguments.fractions is None else _fractions(arguments.fractions),
    )
    found = plan(study, wish, None if arguments.after is None else before(arguments.after))
    moved, others, costs = motion(found), nuisances(found), curves(found)
    verified = None
    if arguments.verify:
        from .planning.verify import verify

        with Reporter(("replicate",)) as progress:
            verified = verify(found, arguments.seeds, threads=_threads(arguments.threads), progress=progress)
    told = sentences(found, moved, others, verified)
    folder = arguments.output or Path(f"plan-{study.name}")
    plain = plan_json(found, moved, others, costs, verified)
    whole_text(folder / "plan.json", json.dumps(plain, indent=1, allow_nan=False) + "\n")
    whole_text(folder / "plan.csv", plan_csv(found))
    whole_text(folder / "plan.toml", study_toml(found.study))
    whole_text(folder / "plan.html", render(found, moved, costs, told))
    print("\n".join(told))
    print(f"\n  page: {folder / 'plan.html'}; run it: txm-twin run {folder / 'plan.toml'}")
    return DONE


def _fractions(text: str) -> tuple[float, ...]:
    try:
        return tuple(sorted({float(word) for word in text.split(",")}))
    except ValueError:
        raise InputError(f"--fractions: found {text!r}; allowed are phase fractions from 0 to 1 with commas") from None


def _doctor(arguments: argparse.Namespace) -> int:
    from .doctor import examine

    return DONE if examine(_threads(None)) else NOT_HELD


_COMMANDS = {
    "run": _run,
    "simulate": _simulate,
    "analyze": _analyze,
    "studies": _studies,
    "score": _score,
    "check": _check,
    "compare": _compare,
    "calibrate": _calibrate,
    "baseline": _baseline,
    "plan": _plan,
    "doctor": _doctor,
}


if __name__ == "__main__":
    sys.exit(main())

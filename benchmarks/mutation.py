"""Mechanical mutation of analysis/: operators, bounds, constants and the like, one at a time; which does no quick test notice?

    python benchmarks/mutation.py --store FILE [--each 4] [--seed 0] [--only PATH ...] [--again]

A sample of so many changes in each module is judged, each in a process of its own on a copy of the checkout, by the module's
quick tests (TESTS) up to the first that fails. Results are kept in FILE: run again, it goes on; `--again` judges survivors anew.
Survivors are listed with their reason in survivors.toml.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path

from mutations import Change, changed, changes

ROOT = Path(__file__).resolve().parents[1]
REASONS = Path(__file__).with_name("survivors.toml")
# The quick tests of a folder or module, fast and likely ones first; the longest name that fits counts.
TESTS = {
    "analysis": ["analysis", "prepare"],
    "analysis/__init__": ["architecture"],
    "analysis/align": ["analysis", "laws", "align"],
    "analysis/align/energy_scale": ["align"],
    "analysis/charge": ["charge"],
    "analysis/choices": ["analysis", "selection", "study", "orders", "prepare", "cli"],
    "analysis/order": ["analysis", "prepare", "orders"],
    "analysis/order/blocks": ["analysis", "iterative", "orders"],
    "analysis/order/joint": ["joint", "orders"],
    "analysis/order/rayfit": ["joint", "orders"],
    "analysis/own": ["combination", "methods"],
    "analysis/phases": ["analysis", "phases"],
    "analysis/pipeline": ["analysis", "prepare", "align", "orders"],
    "analysis/prepare/geometry": ["analysis", "prepare", "align"],
    "analysis/prepare/interpolation": ["analysis", "align"],
    "analysis/reconstruct": ["iterative", "joint"],
    "analysis/reconstruct/coverage": ["analysis"],
    "analysis/reconstruct/engines": ["analysis", "iterative", "orders"],
    "analysis/reconstruct/fbp": ["analysis", "laws", "iterative"],
    "analysis/reconstruct/iterative": ["iterative", "laws"],
    "analysis/reconstruct/operators": ["iterative", "laws"],
    "analysis/reconstruct/replicates": ["iterative", "orders"],
    "analysis/result": ["analysis", "files", "scores", "unexplained"],
    "analysis/spectra": ["combination", "analysis", "laws"],
    "analysis/spectra/edge": ["edge"],
    "analysis/spectra/explore": ["explore"],
    "analysis/spectra/unexplained": ["unexplained", "analysis"],
}
UNSEEN = ("analysis/reconstruct/tomopy_engine.py",)  # needs tomopy
LIMIT_S, MEMORY_B = 600, 8 * 2**30


def modules(only):
    """Sources under analysis/ that hold anything to change."""
    found = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "analysis").rglob("*.py"))
    return [path for path in found if path not in UNSEEN and (not only or any(path.startswith(start) for start in only))]


def sample(path, each, seed):
    """Changes of a module, as different in kind as there are, the same ones for the same source."""
    rng = random.Random(f"{seed} {path}")
    found = changes((ROOT / path).read_text())
    rng.shuffle(found)
    seen: Counter[str] = Counter()
    ranked = []
    for change in found:
        ranked.append((seen[change.kind], len(ranked), change))
        seen[change.kind] += 1
    chosen = [change for _, _, change in sorted(ranked, key=lambda one: one[:2])]
    places, out = set(), []
    for change in chosen:
        if change.place not in places and len(out) < each:
            places.add(change.place)
            out.append(change)
    return out


def tests_of(path):
    name = max((name for name in TESTS if path.startswith(name)), key=len)
    return [f"tests/test_{test}.py" for test in TESTS[name]]


def limited():
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_B, MEMORY_B))


def run(copy, tests):
    """The first test that fails, "" for none, and seconds; one that takes too long has failed."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-o", "addopts=", *tests]
    env = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    try:
        done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, timeout=LIMIT_S, preexec_fn=limited)
    except subprocess.TimeoutExpired:
        return "too long", time.perf_counter() - start
    failed = [
        line.split(" - ")[0].split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))
    ]
    return (failed[0] if failed else f"exit {done.returncode}") if done.returncode else "", time.perf_counter() - start


def judge(copy, path, change):
    source = (ROOT / path).read_text()
    try:
        (copy / path).write_text(changed(source, change))
        return run(copy, tests_of(path))
    finally:
        (copy / path).write_text(source)


def key(path, change: Change):
    digest = hashlib.sha256((ROOT / path).read_bytes()).hexdigest()[:12]
    return f"{path} {digest} {change.number}"


def reasons():
    entries = tomllib.loads(REASONS.read_text())["survivor"] if REASONS.exists() else []
    return {(one["where"], one["change"]): one["reason"] for one in entries}


def report(paths, jobs, known):
    print("\n| module | killed | of |\n|---|---|---|")
    told, left = reasons(), []
    for path in paths:
        own = [(change, known[key(path, change)]) for where, change in jobs if where == path and key(path, change) in known]
        killed = sum(bool(result["by"]) for _, result in own)
        if own:
            print(f"| {path} | {killed} | {len(own)} |")
        left += [(path, change) for change, result in own if not result["by"]]
    total = sum(key(path, change) in known for path, change in jobs)
    print(f"\n{total - len(left)} of {total} killed, {1 - len(left) / max(total, 1):.1%}; survivors:\n")
    for path, change in left:
        print(f"{path}:{change.line}: {change} | {told.get((f'{path}:{change.function}', str(change)), 'NO REASON YET')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="JSON file of results")
    parser.add_argument("--each", type=int, default=4, help="changes in each module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="PATH", help="modules whose path starts so")
    parser.add_argument("--again", action="store_true", help="judge survivors anew")
    chosen = parser.parse_args()
    known = json.loads(chosen.store.read_text()) if chosen.store.exists() else {}
    paths = modules(chosen.only)
    samples = {path: sample(path, chosen.each, chosen.seed) for path in paths}
    jobs = [(path, own[turn]) for turn in range(chosen.each) for path, own in samples.items() if turn < len(own)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "__pycache__", ".*_cache"))
        for number, (path, change) in enumerate(jobs):
            before = known.get(key(path, change))
            if before and (before["by"] or not chosen.again):
                continue
            by, seconds = judge(copy, path, change)
            known[key(path, change)] = {"line": change.line, "change": str(change), "by": by, "seconds": round(seconds, 1)}
            partial = chosen.store.with_suffix(".part")
            partial.write_text(json.dumps(known, indent=1))
            partial.replace(chosen.store)
            print(f"{number + 1}/{len(jobs)} {path}:{change.line}: {change} | {by or 'SURVIVES'} | {seconds:.0f} s", flush=True)
    report(paths, jobs, known)


if __name__ == "__main__":
    main()

"""The error budget: what each effect costs in mean squared error of x, by adding it alone and by taking it out of the whole.

With E(S) the error with the effects S on, an effect i adds A_i = E({i}) - E({}), and taking it out saves T_i = E(all) - E(all
but i). Where effects meet in pairs alone, E(all) = E({}) + the sum of all (A_i + T_i) / 2, and T_i - A_i is what i costs together
with others (second-order expansion of a set function; Grabisch and Roubens, Int. J. Game Theory 28 (1999) 547). What is left
tells how far effects meet in threes.
"""

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from instrument.progress import Progress
from phantom import InputError

from .effects import EFFECTS, Effect, effects_of, without
from .loop import laid_over, record_into
from .methods import Method, MethodFailed
from .projection import build_sample
from .replicates import Estimate, estimate
from .scores import compare
from .scores.errors import phase_rmse
from .study import Study

_PAIRS_OF = 3  # the costliest effects, whose pairs are added, too


@dataclass(frozen=True)
class Part:
    """An effect's cost in mean squared error: `added` alone, `taken_out` of the whole; `cost` is their mean, `together` T - A."""

    effect: Effect
    added: Estimate
    taken_out: Estimate
    cost: Estimate
    together: Estimate


@dataclass(frozen=True)
class Pair:
    """What two effects cost together beyond what each costs alone."""

    names: tuple[str, str]
    cost: Estimate


@dataclass(frozen=True)
class Budget:
    """`total` is the mean squared error of x, `base` what is left without any effect: voxels, views, filter, method."""

    seeds: tuple[int, ...]
    total: Estimate
    base: Estimate
    parts: tuple[Part, ...]
    pairs: tuple[Pair, ...]
    explained: Estimate

    @property
    def explained_share(self) -> float:
        """Base and costs over the total; 1 where effects meet in pairs at most."""
        return self.explained.mean / self.total.mean

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as budget.json; errors are standard errors over the seeds, None for one seed."""

        def plain(one: Estimate) -> dict[str, float | None]:
            return {"mean": one.mean, "error": one.error if one.count > 1 else None}

        return {
            "quantity": "mean squared error of the phase fraction, voxels with iron",
            "seeds": list(self.seeds),
            "total": plain(self.total),
            "base": plain(self.base),
            "effects": [
                {
                    "name": part.effect.name,
                    "without": part.effect.zeros,
                    **{name: plain(getattr(part, name)) for name in ("added", "taken_out", "cost", "together")},
                }
                for part in self.parts
            ],
            "pairs": [{"names": list(pair.names), **plain(pair.cost)} for pair in self.pairs],
            "explained": plain(self.explained),
            "explained_share": self.explained_share,
        }


def budget(
    study: Study, *, method: Method | None = None, seeds: int = 3, threads: int = 1, progress: Progress | None = None
) -> Budget:
    """The budget of a study, of as many seeds from its own on; a seed's sample is the same in all its scans.

    Raises InputError for a study without effects, MethodFailed where a user's method gives no map.
    """
    method = method or Method("")
    study = method.applied_to(study)
    effects = effects_of(study)
    if not effects:
        raise InputError(f"run --budget: {study.name} has no effects to count; allowed is a study with one of: {_names(EFFECTS)}")
    numbers = tuple(range(study.seed, study.seed + seeds))
    count = seeds * len(_first_sets(effects))
    done = itertools.count(1)

    def told() -> None:
        if progress:
            progress("budget", min(next(done), count), count)

    samples = {seed: build_sample(replace(study, seed=seed), threads) for seed in numbers}

    def errors(on: frozenset[Effect]) -> list[float]:
        """Mean squared error of each seed, with these effects alone."""
        found = []
        for seed, sample in samples.items():
            part = without(replace(study, seed=seed), tuple(one for one in effects if one not in on))
            with tempfile.TemporaryDirectory(prefix="txm-budget-") as name:
                simulation = record_into(Path(name), part, threads, sample=sample)
                conclusion = method.analyze(Path(name), part, threads=threads)
            error = phase_rmse(compare(laid_over(simulation, conclusion, method)))
            if error is None:
                raise MethodFailed(f"{method.text}: answers nowhere")
            found.append(error**2)
            told()
        return found

    found = {on: errors(on) for on in _first_sets(effects)}
    costliest = sorted(effects, key=lambda one: -sum(found[frozenset((one,))]))[:_PAIRS_OF]
    for two in itertools.combinations(costliest, 2):
        if frozenset(two) not in found:
            found[frozenset(two)] = errors(frozenset(two))
    return _summed(numbers, effects, costliest, found)


def _first_sets(effects: Sequence[Effect]) -> list[frozenset[Effect]]:
    """None, all, each alone, all but each; each set once."""
    everything = frozenset(effects)
    sets = [frozenset[Effect](), everything]
    sets += [frozenset((one,)) for one in effects] + [everything - {one} for one in effects]
    return list(dict.fromkeys(sets))


def _summed(
    seeds: tuple[int, ...], effects: Sequence[Effect], costliest: Sequence[Effect], found: dict[frozenset[Effect], list[float]]
) -> Budget:
    everything, none = frozenset(effects), frozenset[Effect]()

    def combined(terms: dict[frozenset[Effect], float]) -> Estimate:
        """Of a sum of errors, seed by seed."""
        return estimate([sum(sign * found[on][k] for on, sign in terms.items()) for k in range(len(seeds))])

    def part_of(one: Effect) -> Part:
        alone, rest = frozenset((one,)), everything - {one}
        added, taken_out = _terms((alone, 1.0), (none, -1.0)), _terms((everything, 1.0), (rest, -1.0))
        half = _terms(*((on, 0.5 * sign) for both in (added, taken_out) for on, sign in both.items()))
        together = _terms(*taken_out.items(), *((on, -sign) for on, sign in added.items()))
        return Part(one, combined(added), combined(taken_out), combined(half), combined(together))

    parts = sorted((part_of(one) for one in effects), key=lambda part: -part.cost.mean)
    pairs = []
    for a, b in itertools.combinations(costliest, 2):
        terms = _terms((frozenset((a, b)), 1.0), (frozenset((a,)), -1.0), (frozenset((b,)), -1.0), (none, 1.0))
        pairs.append(Pair((a.name, b.name), combined(terms)))
    explained = [(none, 1.0)]
    for one in effects:
        explained += [(frozenset((one,)), 0.5), (none, -0.5), (everything, 0.5), (everything - {one}, -0.5)]
    whole = combined({everything: 1.0}), combined({none: 1.0})
    return Budget(seeds, *whole, tuple(parts), tuple(pairs), combined(_terms(*explained)))


def _terms(*each: tuple[frozenset[Effect], float]) -> dict[frozenset[Effect], float]:
    """Signed errors, those of one set added up: with few effects sets coincide."""
    out: dict[frozenset[Effect], float] = {}
    for on, sign in each:
        out[on] = out.get(on, 0.0) + sign
    return out


def _names(effects: Sequence[Effect]) -> str:
    return ", ".join(effect.name for effect in effects)

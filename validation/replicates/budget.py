"""The error budget: what each effect costs in mean squared error of x, by adding it alone and by taking it out of the whole.

With E(S) the error with the effects S on, an effect i adds A_i = E({i}) - E({}), and taking it out saves T_i = E(all) - E(all
but i). Where effects meet in pairs alone, E(all) = E({}) + the sum of all (A_i + T_i) / 2, and T_i - A_i is what i costs together
with others (second-order expansion of a set function; Grabisch and Roubens, Int. J. Game Theory 28 (1999) 547). What is left
tells how far effects meet in threes.
"""

import itertools
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from instrument.progress import Progress
from phantom import InputError, Sample

from ..loop import laid_over, record_into
from ..methods import Method, MethodFailed
from ..projection import build_sample
from ..scores import compare
from ..scores.errors import phase_rmse
from ..study import Study
from .effects import EFFECTS, Effect, effects_of, without
from .replicate import Estimate, estimate

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

    @property
    def sentence(self) -> str:
        """What costs most."""
        parts = [("what is left without any effect", self.base.mean), *((one.effect.name, one.cost.mean) for one in self.parts)]
        shares = sorted(((name, cost / self.total.mean) for name, cost in parts), key=lambda part: -part[1])
        told = [f"{name} {100 * share:.0f} %" for name, share in shares[:4] if share > 0.005]
        return f"By the error budget: {', '.join(told)} of the squared error."

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


def counted_effects(study: Study) -> tuple[Effect, ...]:
    """The effects of a study. Raises InputError for a study without any."""
    effects = effects_of(study)
    if not effects:
        names = ", ".join(effect.name for effect in EFFECTS)
        raise InputError(f"run --budget: {study.name} has no effects to count; allowed is a study with one of: {names}")
    return effects


def budget(
    study: Study, *, method: Method | None = None, seeds: int = 3, threads: int = 1, progress: Progress | None = None
) -> Budget:
    """The budget of a study, of as many seeds from its own on; a seed's sample is the same in all its scans.

    Raises InputError for a study without effects, MethodFailed where a user's method gives no map.
    """
    method = method or Method("")
    study = method.applied_to(study)
    effects = counted_effects(study)
    numbers = tuple(range(study.seed, study.seed + seeds))
    pairs = math.comb(_PAIRS_OF, 2) if len(effects) > _PAIRS_OF else 0  # of fewer, pairs are all but one, or all
    count = seeds * (len(_first_sets(effects)) + pairs)
    done = itertools.count(1)

    def error(study: Study, sample: Sample, on: frozenset[Effect]) -> float:
        """Mean squared error with these effects alone."""
        part = without(study, tuple(one for one in effects if one not in on))
        with tempfile.TemporaryDirectory(prefix="txm-budget-") as name:
            simulation = record_into(Path(name), part, threads, sample=sample)
            conclusion = method.analyze(Path(name), part, threads=threads)
        found = phase_rmse(compare(laid_over(simulation, conclusion, method)))
        if found is None:
            raise MethodFailed(f"{method.text}: answers nowhere")
        if progress:
            progress("budget", next(done), count)
        return found**2

    found: dict[frozenset[Effect], list[float]] = {}
    costliest: list[Effect] = []
    for seed in numbers:  # one sample in memory at a time
        own = replace(study, seed=seed)
        sample = build_sample(own, threads)
        for on in _first_sets(effects):
            found.setdefault(on, []).append(error(own, sample, on))
        costliest = costliest or _costliest(effects, found)
        for on in [frozenset(two) for two in itertools.combinations(costliest, 2)]:
            if len(found.setdefault(on, [])) < len(found[frozenset()]):
                found[on].append(error(own, sample, on))
    return _summed(numbers, effects, costliest, found)


def _costliest(effects: Sequence[Effect], found: dict[frozenset[Effect], list[float]]) -> list[Effect]:
    """The effects that cost most in the first scan, by the mean of added and taken out."""
    everything = frozenset(effects)
    return sorted(effects, key=lambda one: found[everything - {one}][0] - found[frozenset((one,))][0])[:_PAIRS_OF]


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

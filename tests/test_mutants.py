"""The catalog of broken functions, and some caught by the law that should; benchmarks/mutants.py tries all on all laws."""

from collections import Counter

import pytest
from mutants import CATALOG, LAWS, SOUND, alarms, drawn, laws_of
from mutations import changed, changes

from validation.laws import examine

NAMED = {(mutant.role, mutant.name): mutant for mutant in CATALOG}
CAUGHT = {
    "engine": {
        "upside down": "makes each slice of its row",
        "mirrored": "keeps the place",
        "transposed": "keeps the place",
        "axis at N/2": "keeps the place",
        "a degree off": "keeps the place",
        "no padding": "does not wrap around",
        "axis ignored": "follows the axis",
        "small pixels alike": "scales with the pixel",
        "floor of light": "scales with the rays",
        "gain of 1 %": "keeps the mass",
        "negatives cut": "has no bias from noise",
        "a memory": "says the same again",
        "a constant": "makes nothing of nothing",
        "degrees": "comes near the truth",
        "angles sorted": "does not mind the order of views",
        "half turn": "sees opposite views as mirrored",
        "angles of the first call": "turns with the angles",
        "all views alike": "weighs crowded views less",
        "NaN spreads": "contains a missing ray",
        "missing is empty": "answers missing rays well or not at all",
        "input spoilt": "answers",
        "flattened": "answers",
        "complex": "answers",
    },
    "fit": {
        "swapped": "finds what was mixed",
        "one energy off": "finds what was mixed",
        "full of iron": "finds what was mixed",
        "energies unsorted": "does not mind the order of energies",
        "no background": "ignores what is the same at all energies",
        "negatives cut": "has no bias",
        "nothing is zero": "has no answer to nothing",
        "a gap is zero": "answers a gap well or not at all",
        "one gap for all": "leaves neighbours of a gap alone",
        "sigma a tenth large": "states an honest sigma",
        "own weights assumed": "states an honest sigma",
        "sigma of one": "states sigma in proportion",
        "scaled by the misfit": "states sigma in proportion",
        "input spoilt": "answers",
    },
    "align views": {
        "the other way": "finds the shifts",
        "columns first": "finds the shifts",
        "one too few": "answers",
        "in order of angle": "does not mind the order",
    },
    "align energies": {"plain correlation": "finds the shifts", "edges in whole pixels": "finds the shifts"},
}


def test_the_catalog_is_as_long_as_it_says():
    assert len(NAMED) == len(CATALOG) >= 40
    assert sum(bool(mutant.source) for mutant in CATALOG) >= 15
    assert {mutant.role for mutant in CATALOG} <= set(LAWS)
    assert Counter(mutant.role for mutant in CATALOG)["engine"] >= 30


@pytest.mark.parametrize(("role", "name", "law"), [(r, n, law) for r, some in CAUGHT.items() for n, law in some.items()])
def test_a_mutant_is_caught_by_the_law_that_should(role, name, law):
    (held,) = (one for one in LAWS[role] if one.name == law)
    examples = {"examples": 2} if role.startswith("align") else {}
    found = examine(NAMED[role, name].function, held, **examples)
    assert not found.holds
    assert found.case is not None


def test_sound_functions_raise_no_alarm_and_each_seed_has_its_case():
    law = next(law for law in LAWS["fit"] if law.name == "states an honest sigma")
    assert len({drawn(law, k).seed for k in range(5)}) == 5
    assert not alarms("fit", laws_of(*SOUND["fit"][::2]).index(law), range(5))


def test_a_source_is_changed_in_one_place_at_a_time():
    """Words, types and what an error says stay as they are."""
    lines = [
        "def f(x: int) -> int:",
        '    """2 < 3."""',
        "    if not x:",
        '        raise ValueError(f"{x + 5}", 6)',
        "    return x[1:] * 7.0",
    ]
    source = "\n".join(lines) + "\n"
    found = changes(source)
    said = {str(change) for change in found}
    assert said >= {"1 -> 2 in 1:", "not x -> x", "7.0 -> 7.7 in x[1:] * 7.0", "x[1:] * 7.0 -> x[1:] / 7.0", "1: -> :"}
    assert not any(word in line for line in said for word in ("5", "6", "<", "int"))
    assert len({changed(source, change) for change in found}) == len(found)

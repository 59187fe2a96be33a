"""Plans: which energies, which exposure, how many views, at what dose; how good that is, and what it would take to be better."""

from .after import Before, before
from .nuisances import Nuisance, nuisances
from .operando import Motion, motion
from .plan import Plan, plan
from .problem import FRACTIONS
from .tradeoffs import Curve, curves
from .wish import Wish
from .words import plan_csv, plan_json, sentences

__all__ = [
    "FRACTIONS",
    "Before",
    "Curve",
    "Motion",
    "Nuisance",
    "Plan",
    "Wish",
    "before",
    "curves",
    "motion",
    "nuisances",
    "plan",
    "plan_csv",
    "plan_json",
    "sentences",
]

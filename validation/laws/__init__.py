"""Laws that any engine, fit, alignment or pipeline must obey, for `txm-twin check` and for tests of one's own.

    import pytest
    from validation.laws import ENGINE, hold

    @pytest.mark.parametrize("law", ENGINE, ids=str)
    def test_my_engine(law):
        hold(my_engine, law)

Each has its hypothesis strategy (`law.cases`) and its trial (`law.trial`), which raises `Broken`.
"""

from .align_laws import ALIGN_ENERGIES, ALIGN_VIEWS
from .engine_laws import ENGINE
from .fit_laws import FIT
from .law import Broken, Finding, Law, examine, hold
from .pipeline_laws import PIPELINE

__all__ = ["ALIGN_ENERGIES", "ALIGN_VIEWS", "ENGINE", "FIT", "PIPELINE", "Broken", "Finding", "Law", "examine", "hold"]

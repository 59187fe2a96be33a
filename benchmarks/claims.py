"""The experiment's claims 1 to 6, 8 and 9 and their controls, measured on reconstructed data.

python benchmarks/claims.py [--small] [--only 1 5 ...]
"""

import argparse

from claim_tools import FULL, SMALL, print_table
from claims_of_scans import claim_1, claim_2, claim_8, claim_9
from claims_of_stages import claim_3, claim_4, claim_5, claim_6

CLAIMS = {1: claim_1, 2: claim_2, 3: claim_3, 4: claim_4, 5: claim_5, 6: claim_6, 8: claim_8, 9: claim_9}
LAYER = {"electrode.particles": 7, "scan.rows": 72, "scan.columns": 104, "scan.pixel_um": 0.18}


def findings(claim, *, small):
    """All findings of a claim; the electrode has a field of its own."""
    sizes = (LAYER, {}) if claim == 9 else (SMALL, FULL)
    return CLAIMS[claim](sizes[0] if small else sizes[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="the fields that the tests use")
    parser.add_argument("--only", type=int, nargs="+", choices=CLAIMS, default=list(CLAIMS), help="claims")
    chosen = parser.parse_args()
    print_table(one for claim in chosen.only for one in findings(claim, small=chosen.small))

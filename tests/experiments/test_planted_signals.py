"""Each family finds what it can represent, and not what it cannot, on markets with a signal of one kind.

`benchmarks/planted.py` shows this for all families and 5 seeds; here are three of them, by the same protocol, on
another seed's markets.
"""

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "planted.py"
SEED = 11
NETWORK = "trans.small.extractors.slim.identity"


def rank_ics(root: Path, signal: str, families: list[str]) -> dict[tuple[str, str], float]:
    """Mean rank IC over 43 test quarters, by analyst and the quarters that it reads."""
    script = runpy.run_path(str(SCRIPT))
    found = script["cells"](signal, SEED, root, script["specs_of"](families))
    return {(cell.analyst, cell.quarters): cell.rank_ic for cell in found}


@pytest.mark.slow
def test_a_line_finds_the_linear_signal_and_a_network_that_reads_quarters_the_sequential_one(tmp_path: Path) -> None:
    """Where there is nothing to be found, some 5,000 test rows leave a rank IC a standard error of 0.014."""
    truth = ("the planted signal itself", "")
    linear = rank_ics(tmp_path, "linear", ["ridge"])
    assert linear[truth] > 0.3
    assert linear["ridge", "1"] > 0.9 * linear[truth]
    sequential = rank_ics(tmp_path, "sequential", ["ridge", NETWORK])
    assert sequential[truth] > 0.3
    # A product of two quarters' surprises is uncorrelated with either, so more quarters do not help a line.
    assert abs(sequential["ridge", "1"]) < 0.05
    assert abs(sequential["ridge", "5"]) < 0.05
    assert sequential[NETWORK, "12"] > 0.5 * sequential[truth]

"""The planted driver of a synthetic market comes out on top, and columns that know nothing of it stay with noise.

`benchmarks/explain.py` shows this for two drivers, two strengths and two analysts; here is one of them, by the same
protocol, on another seed's market.
"""

import runpy
from pathlib import Path

import pytest

from alfred.core.home import Home

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "explain.py"
SEED = 11


@pytest.mark.slow
def test_the_planted_driver_comes_out_on_top_and_noise_below_the_line(tmp_path: Path) -> None:
    """surprisePercentage is independent of all other columns but its own delta; of 32 others none may rise above."""
    script = runpy.run_path(str(SCRIPT))
    home = Home(tmp_path)
    names = script["market"]("fundamental", 0.5, SEED, home)
    specs = [script["AnalystSpec"].parse({"label": "rank", "name": "ridge"}, "test")]
    study = script["PLANTED"]["study"](names, SEED, specs)
    walk = script["walk_of"](study, script["prepare"](study, home), home)
    place, share, above, others, _ = script["one"](walk, specs[0], study.train, SEED, "surprisePercentage").split(" | ")
    assert place == "1"
    assert float(share.rstrip("%")) > 40
    assert above.startswith("yes")
    assert others.startswith("0 of ")

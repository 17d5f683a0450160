"""A small synthetic market, clean or with planted leaks, and a cheap study on it."""

import datetime as dt
from pathlib import Path

import polars as pl

from alfred.core.home import Home
from alfred.experiments.study import Study
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import SyntheticMarket, generate
from alfred.lake.synthetic.settings import Leak, SyntheticSettings

TEST_FIRST = dt.date(2007, 3, 30)


def audited_market(root: Path, seed: int, *leaks: Leak) -> tuple[Home, Study, SyntheticMarket]:
    """Forty companies over 14 years; half of those on the first test date teach, and all that a leak strikes."""
    market = generate(
        SyntheticSettings(
            seed=seed, symbols=40, first_year=2000, years=14, leaks=leaks, delistings_per_year=0.04,
            information_coefficient=0.1 * (seed % 2), articles_per_quarter=0.3, insider_trades_per_quarter=0.5,
        )
    )  # fmt: skip
    home = Home(root / f"{seed}-{'-'.join(leaks)}")
    for name, rows in market.tables.items():
        Lake(home.lake).write(name, rows)
    names = market.tables["bars"].filter(pl.col("date") == TEST_FIRST)["symbol"].sort().to_list()
    struck = [symbol for leak in market.truth.leaks for symbol in leak.symbols if symbol not in names]
    form = {
        "name": "audited",
        "data": {"provider": "synthetic"},
        "universe": {"training": [*names[0::2], *struck], "evaluation": names[1::2]},
        "splits": {
            "test_first": str(TEST_FIRST), "test_quarters": 12, "valid_quarters": 4, "min_train_quarters": 12,
        },
        "analysts": [{"name": "ridge"}],
        "evaluation": {"draws": 200},
        "backtest": {"strategies": ["simple"]},
    }  # fmt: skip
    return home, Study.parse(form, "audited"), market

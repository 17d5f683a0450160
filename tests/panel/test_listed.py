"""Names without a current price are no rows, and excess is over the label's own quarters."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from market import walks

from alfred.core.contracts import EXCESS, MAGNITUDE
from alfred.panel.build import build_panel
from alfred.panel.settings import PanelSettings
from alfred.panel.tables import Tables
from alfred.panel.windows import WindowMaker


def test_names_without_a_price_are_no_rows_and_unseen() -> None:
    bars, market = walks()
    late = bars.filter((pl.col("symbol") != "C") | (pl.col("date") >= dt.date(2018, 1, 2)))
    panel = build_panel(Tables(late, market), PanelSettings(), levels_usable=True)
    maker = WindowMaker.fit(panel, np.arange(14), ("A", "C"), PanelSettings(), quarters=2)
    rows = panel.values[:14][:, [0, 2]][panel.listed[:14][:, [0, 2]]]
    assert len(rows) == 14 + 2
    assert not any(panel.features.index("Close") in group for group in maker.indicators)
    windows = maker.windows(np.arange(11, 14), ("C",), "PM", labelled=False)
    assert windows.dates.tolist() == panel.dates[12:14].tolist()
    assert windows.seen.tolist() == [[False, True], [True, True]]


def test_excess_is_over_the_same_quarters() -> None:
    bars, market = walks()
    panel = build_panel(Tables(bars, market), PanelSettings(horizon_quarters=2), levels_usable=True)
    level = dict(market.select("date", "value").iter_rows())
    first, later = (level[date] for date in panel.dates[[0, 2]].tolist())
    excess, own = panel.labels.of(EXCESS)[0, 0], panel.labels.of(MAGNITUDE)[0, 0]
    assert own - excess == pytest.approx(later / first - 1, rel=1e-12)


def test_a_missing_level_is_said_to_be_missing() -> None:
    bars, market = walks()
    without = bars.with_columns(pl.lit(None, pl.Float64).alias("volume"))
    panel = build_panel(Tables(without, market), PanelSettings(), levels_usable=False)
    assert panel.left_out["Volume"].startswith("missing everywhere")
    assert "knows later splits" in panel.left_out["Close"]

# %% [markdown]
# # Alfred from Python
# The stages as plain functions, in the order that data pass them. The cells (`# %%`) open as a notebook in any editor
# that knows them; `python examples/library.py` runs them all in about half a minute, offline.

# %% What the lake knew on a day
import datetime as dt
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from alfred.analysts import AnalystSpec, make_analyst
from alfred.core.home import Home
from alfred.experiments.market import read_market
from alfred.experiments.study import DataSettings
from alfred.lake.store import Lake
from alfred.panel.build import build_panel
from alfred.panel.settings import PanelSettings
from alfred.panel.windows import WindowMaker
from alfred.training.settings import TrainSettings

home = Home(Path(tempfile.mkdtemp()))
market = read_market(Lake(home.lake), DataSettings(until="2015-12-31"))
known = market.view.bars(source="sample")
print(f"{len(known):,} bars were known by {dt.date(2015, 12, 31)}; the last is of {known['date'].max()}")

# %% A panel of decision dates, symbols and columns
panel_settings = PanelSettings(features=("momentum_12_1", "Close_diff_MA_*"))
panel = build_panel(market.tables(), panel_settings, levels_usable=market.levels_usable)
print(f"{panel.values.shape} dates, symbols, columns; {np.isnan(panel.values).mean():.1%} missing")

# %% Learn on some names and years, forecast others
names = panel.symbols
# The intervals are calibrated on rows of 2007 to 2009, a storm; in the calm after it they are too wide.
train, valid, test = np.arange(40, 70), np.arange(71, 79), np.arange(80, len(panel.dates) - 1)
maker = WindowMaker.fit(panel, train, names[:10], panel_settings, quarters=1)
analyst = make_analyst(AnalystSpec(name="ridge"), TrainSettings(), seed=0)
fitted = analyst.fit(
    maker.windows(train, names[:10], "PM", labelled=True), maker.windows(valid, names[:10], "PM", labelled=True)
)
asked = maker.windows(test, names[10:], "PM", labelled=True)
forecast = fitted.predict(asked.without_labels())

# %% How good was the order of the names, quarter by quarter?
by_quarter = [
    spearmanr(forecast.mean[asked.dates == date], asked.y[asked.dates == date]).statistic
    for date in np.unique(asked.dates)
]
print(f"mean rank IC {np.nanmean(by_quarter):+.3f} over {len(by_quarter)} quarters, before any doubt")
print(f"{np.mean((asked.y >= forecast.lower) & (asked.y <= forecast.upper)):.0%} of outcomes lay in 80% intervals")

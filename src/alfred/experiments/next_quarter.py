"""From the lake's latest data and a stored analyst to its forecasts of the next quarter."""

from collections.abc import Sequence

import polars as pl

from alfred.core.errors import DataError
from alfred.core.home import Home
from alfred.experiments.market import read_market
from alfred.experiments.stored import StoredAnalyst
from alfred.experiments.study import DataSettings
from alfred.lake.store import Lake
from alfred.panel.build import build_panel
from alfred.panel.panel import Panel
from alfred.panel.settings import PanelSettings


def next_quarter(
    stored: StoredAnalyst, home: Home, as_of: str | None = None, symbols: Sequence[str] = ()
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Forecasts of a stored analyst, from all that this home's lake knows by now.

    The panel holds the names that the analyst learnt from and was judged on, as far as they have prices, beside those
    asked for: columns that compare names compare them among these.

    Args:
        stored: the analyst.
        home: whose lake.
        as_of: decision date (ISO); default the last one in the data.
        symbols: to forecast; default the names that it was judged on.

    Returns:
        The rows of `StoredAnalyst.forecast`, and columns that it learnt from and these data lack.

    Raises:
        ConfigError: there is no such decision date.
        DataError: there are no prices of the provider that it learnt from, or none of a symbol.
    """
    panel = panel_for(stored, home, symbols)
    wanted = tuple(symbols) or tuple(name for name in stored.about.evaluation if name in panel.symbols)
    return stored.forecast(panel, as_of, wanted), stored.preparation.lacking(panel)


def panel_for(stored: StoredAnalyst, home: Home, symbols: Sequence[str] = ()) -> Panel:
    """The raw quarters that an analyst forecasts from, with the settings that it learnt under."""
    about = stored.about
    settings = DataSettings.parse({**about.data, "until": None}, "the model's data settings")
    market = read_market(Lake(home.lake), settings)
    there = set(market.bars["symbol"].unique())
    absent = [name for name in symbols if name not in there]
    if absent:
        raise DataError(f"provider {settings.provider!r} has no prices of {', '.join(absent)}; fetch them first.")
    names = sorted({*about.training, *about.evaluation, *symbols} & there)
    if not names:
        raise DataError(f"provider {settings.provider!r} has prices of none of the model's names; name others.")
    panel = PanelSettings.parse(about.panel, "the model's panel settings")
    return build_panel(market.tables(names), panel, market.levels_usable)

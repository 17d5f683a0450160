"""What was planted, and what came of it: known to the generator and to tests, never to an analyst."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from alfred.lake.synthetic.bars import Quotes
from alfred.lake.synthetic.companies import SECTORS
from alfred.lake.synthetic.leaks import Plan, PlantedLeak
from alfred.lake.synthetic.settings import SyntheticSettings

CARRIERS = {"fundamental": ("surprisePercentage",), "tone": ("mean_sentiment",)}


@dataclass(frozen=True, eq=False)
class Truth:
    """The planted truth of one market.

    Attributes:
        information_coefficient: expected correlation, across names, of signal and next quarter's price return.
        features: columns of the panel, by their names in the notes, that carry the predictor; no other column does
            but by its likeness to these.
        signal: how the predictor works.
        realised: by quarter, columns as_of, names, information_coefficient (Pearson) and rank_ic (Spearman) of the
            signal with the change that followed, over the names that have both; the predictor's own are
            predictor_ic and predictor_rank_ic. Null where fewer than 3 names have both.
        signals: columns symbol, as_of, predictor, signal, change, for every listed name with a signal; `change`
            (price return over the next quarter) is null where the name has no price at its end under that ticker.
        leaks: the defects that were planted.
        sectors: symbol to sector.
    """

    information_coefficient: float
    features: tuple[str, ...]
    signal: str
    realised: pl.DataFrame
    signals: pl.DataFrame
    leaks: tuple[PlantedLeak, ...]
    sectors: dict[str, str]


def make_truth(settings: SyntheticSettings, quotes: Quotes, plan: Plan) -> Truth:
    """Gather it from what the generator knows."""
    signals = _signals(quotes)
    rows = []
    for (as_of,), quarter in signals.drop_nulls("change").group_by("as_of", maintain_order=True):
        change = quarter["change"].to_numpy()
        figures: list[float | None] = [None] * 4
        if len(quarter) >= 3:
            figures = [
                float(measure(quarter[name].to_numpy(), change).statistic)
                for name in ("signal", "predictor")
                for measure in (stats.pearsonr, stats.spearmanr)
            ]
        rows.append((as_of, len(quarter), *figures))
    columns = ("information_coefficient", "rank_ic", "predictor_ic", "predictor_rank_ic")
    schema = {"as_of": pl.Date(), "names": pl.Int64(), **dict.fromkeys(columns, pl.Float64())}
    return Truth(
        information_coefficient=settings.information_coefficient,
        features=CARRIERS.get(settings.predictor, (settings.price_feature,)),
        signal=settings.signal,
        realised=pl.DataFrame(rows, schema=schema, orient="row"),
        signals=signals,
        leaks=plan.leaks,
        sectors={
            name: SECTORS[sector]
            for names, sector in zip(quotes.companies.tickers, quotes.companies.sector.tolist(), strict=True)
            for name in names
        },
    )


def _signals(quotes: Quotes) -> pl.DataFrame:
    span, companies, paths = quotes.span, quotes.companies, quotes.paths
    there = companies.listed(span.decisions)
    line = companies.line_first(span.decisions)
    same = np.zeros(there.shape, np.bool_)
    same[:, :-1] = there[:, :-1] & there[:, 1:] & (line[:, :-1] == line[:, 1:])
    quarter, company = np.nonzero(np.isfinite(paths.signal).T & there.T)
    change = np.where(same, paths.change, np.nan)[company, quarter]
    return pl.DataFrame(
        {
            "symbol": companies.ticker(company, span.decisions[quarter]),
            "as_of": span.sessions[span.decisions[quarter]],
            "predictor": paths.predictor[company, quarter],
            "signal": paths.signal[company, quarter],
            "change": pl.Series(change, nan_to_null=True),
        },
        schema_overrides={"symbol": pl.String},
    )

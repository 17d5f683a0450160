"""From forecasts to a scorecard: every metric with its intervals, beside the naive forecast on the same rows."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from alfred.core.contracts import DIRECTION, Floats
from alfred.core.errors import DataError
from alfred.evaluation.bootstrap import (
    BootstrapSettings,
    block_counts,
    percentile_interval,
    seed_interval,
)
from alfred.evaluation.calibration import calibration, coverage_by_year
from alfred.evaluation.contracts import Figure, Scorecard
from alfred.evaluation.metrics import HIGHER_IS_BETTER, RowLoss, Sums, metric_values, quarter_sums, rank_ics
from alfred.evaluation.rows import ForecastRows, check_same_rows, forecast_rows
from alfred.evaluation.significance import MeanTest, newey_west
from alfred.evaluation.verdict import judged, naive_verdict

LAG_QUARTERS = 3
"""Newey-West lag; longer where labels overlap for longer."""
_ONE_SEED = "one seed: its spread over seeds is not known"


def scorecard(  # noqa: PLR0917 - the order in which a reader would say it
    forecasts: pl.DataFrame,
    analyst: str,
    naive: pl.DataFrame,
    row_loss: RowLoss,
    loss_name: str,
    settings: BootstrapSettings | None = None,
    *,
    random: bool = True,
    interval_level: float = 0.8,
    horizon_quarters: int = 1,
) -> Scorecard:
    """Judge one analyst beside the naive forecast.

    Rows whose label is not realised yet are left out; `Scorecard.rows_without_label` counts them.

    Args:
        forecasts: columns of a run's forecasts.parquet; other analysts' rows are passed over.
        analyst: whom to judge; the naive analyst itself has differences of 0.
        naive: the naive analyst's forecasts of the same target and rows, with one seed.
        row_loss: loss of each row, given predictions (N,) and labels (N,); lower is better.
        loss_name: its name, for the reader.
        settings: of the bootstrap; None for the defaults.
        random: whether seeds can change this analyst's forecasts. One seed of such an analyst is noted.
        interval_level: nominal coverage of the forecasts' intervals.
        horizon_quarters: of the label. Labels of neighbouring quarters overlap beyond 1, so blocks are at least twice
            as long, and so is the lag; skill needs as many times more quarters.

    Raises:
        DataError: the analyst and the naive forecast do not cover the same rows, or the forecasts cannot be judged
            (see `forecast_rows`); there are fewer than 2 quarters with labels; or the loss is not finite.
    """
    settings = (settings or BootstrapSettings()).over_horizon(horizon_quarters)
    beside = _naive_rows(naive)
    rows = forecast_rows(forecasts, analyst, beside.target)
    naive_name = str(naive["analyst"][0])
    check_same_rows(rows, analyst, beside)
    ics = rank_ics(rows)
    sums, naive_sums = quarter_sums(rows, row_loss, ics), quarter_sums(beside, row_loss, rank_ics(beside))
    counts = block_counts(len(rows.quarters), settings)
    own, other = _measured(sums, counts, rows.target), _measured(naive_sums, counts, rows.target)
    notes = _notes(rows, ics, sums, interval_level)
    if random and analyst != naive_name and len(rows.seeds) == 1:
        notes = {name: "; ".join(filter(None, (notes.get(name, ""), _ONE_SEED))) for name in own.of_seeds}
    figures = tuple(_figure(name, own, other, settings, notes.get(name, "")) for name in own.of_seeds)
    lag = LAG_QUARTERS if horizon_quarters == 1 else max(LAG_QUARTERS, 2 * horizon_quarters)
    card = Scorecard(
        analyst=analyst,
        target=rows.target,
        loss=loss_name,
        rows=len(rows),
        quarters=len(rows.quarters),
        seeds=len(rows.seeds),
        rise_share=float(rows.rise.mean()),
        figures=figures,
        minimum_detectable_ic=1.0,
        calibration=calibration(rows, settings.level),
        verdict="",
        skilled=False,
        rows_without_label=rows.without_label,
        interval_level=interval_level,
        coverage_by_year=coverage_by_year(rows),
        horizon_quarters=horizon_quarters,
        ranking=ranking_test(ics, rows, lag),
        saving=newey_west(_saved(sums, naive_sums), lag),
    )
    card = judged((card,))[0]
    return replace(card, verdict=naive_verdict(card), skilled=False) if analyst == naive_name else card


def point_values(forecasts: pl.DataFrame, analyst: str, row_loss: RowLoss) -> dict[str, float | None]:
    """Every metric of one analyst, mean over seeds, and the share of rises; without intervals.

    For rows that were learnt from, or that chose the epoch: no interval could make up for that. None where undefined.

    Raises:
        DataError: as `forecast_rows`; or the loss is not finite.
    """
    rows = forecast_rows(forecasts, analyst)
    values = metric_values(_totals(quarter_sums(rows, row_loss, rank_ics(rows))), rows.target)
    means = {name: float(of_seeds.mean()) for name, of_seeds in values.items()} | {
        "rise_share": float(rows.rise.mean())
    }
    return {name: value if np.isfinite(value) else None for name, value in means.items()}


def quarter_table(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Rank IC and direction accuracy of every analyst in every test quarter, means over seeds.

    Returns:
        Columns analyst, as_of, rank_ic (null where a quarter has fewer than 3 names), accuracy, rise_share, rows
        (of one seed), sorted by analyst and date. Rows without a realised label are left out.

    Raises:
        DataError: as `forecast_rows`; also where an analyst forecasts several targets.
    """
    tables = []
    for analyst in forecasts["analyst"].unique().sort().to_list():
        rows = forecast_rows(forecasts, analyst)
        right = np.add.reduceat(((rows.prob_up > 0.5) == (rows.rise > 0.5)).mean(axis=0), rows.starts)
        tables.append(
            pl.DataFrame(
                {
                    "analyst": [analyst] * len(rows.quarters),
                    "as_of": rows.quarters,
                    "rank_ic": rank_ics(rows).mean(axis=0),
                    "accuracy": right / rows.sizes,
                    "rise_share": np.add.reduceat(rows.rise, rows.starts) / rows.sizes,
                    "rows": rows.sizes,
                }
            ).with_columns(pl.col("rank_ic").fill_nan(None), pl.col("as_of").cast(pl.Date))
        )
    if not tables:
        raise DataError("there are no forecasts to tabulate.")
    return pl.concat(tables)


def ranking_test(rank_ic: Floats, rows: ForecastRows, lag: int = LAG_QUARTERS) -> MeanTest | None:
    """Test of the mean over quarters of the IC's mean over seeds; None where fewer than 2 quarters have one.

    A constant forecast has no spread of its own; there the variance 1 / (n - 1) of the rank correlation of n unrelated
    pairs stands in (Kendall and Gibbons 1990).

    Args:
        rank_ic: (S, Q) as `rank_ics` gives it.
        rows: what it was computed from.
        lag: quarters over which ICs may be correlated.
    """
    series = rank_ic.mean(axis=0)
    present = np.isfinite(series)
    if present.sum() < 2:
        return None
    unrelated = float(np.sqrt((1 / (rows.sizes[present] - 1)).sum()) / present.sum())
    return newey_west(series[present], lag, least_error=unrelated)


def _saved(own: Sums, naive: Sums) -> Floats:
    """(Q,) what each quarter adds to the naive loss less the own, of means over all rows and seeds.

    The difference of the two ratios, linearised in the quarter's sums: its mean is that difference, and its spread that
    of a ratio whose quarters differ in size.
    """
    rows = naive["rows"][0]
    saved = naive["loss"][0] - own["loss"].mean(axis=0)
    mean = saved.sum() / rows.sum()
    series: Floats = mean + (saved - mean * rows) / rows.mean()
    return series


def _naive_rows(naive: pl.DataFrame) -> ForecastRows:
    names = naive["analyst"].unique().to_list() if "analyst" in naive.columns else [""]
    if len(names) != 1:
        raise DataError(f"the naive rows must be of one analyst, got {len(names)}; filter the forecasts by its name.")
    rows = forecast_rows(naive, names[0])
    if len(rows.seeds) != 1:
        raise DataError(f"the naive forecast has no randomness, but came with {len(rows.seeds)} seeds; keep one.")
    return rows


@dataclass(frozen=True, eq=False)
class _Measured:
    """Metrics of one analyst: of each seed (S,) by name, and of each draw (B,) by name, over `quarters` quarters."""

    of_seeds: dict[str, Floats]
    of_draws: dict[str, Floats]
    quarters: int


def _measured(sums: Sums, counts: Floats, target: str) -> _Measured:
    drawn = metric_values(_resampled(sums, counts), target)
    means = {name: values.mean(axis=1) for name, values in drawn.items()}
    return _Measured(metric_values(_totals(sums), target), means, counts.shape[1])


def _figure(name: str, own: _Measured, naive: _Measured, settings: BootstrapSettings, note: str) -> Figure:
    blocks = own.quarters / settings.block_length(own.quarters)
    value, beside = float(own.of_seeds[name].mean()), float(naive.of_seeds[name].mean())
    defined, paired = bool(np.isfinite(value)), bool(np.isfinite(value) and np.isfinite(beside))
    drawn, differences = own.of_draws[name], own.of_draws[name] - naive.of_draws[name]
    return Figure(
        name=name,
        value=value if defined else None,
        over_quarters=percentile_interval(drawn, settings.level, blocks) if defined else None,
        over_seeds=seed_interval(own.of_seeds[name], settings.level) if defined else None,
        naive=beside if np.isfinite(beside) else None,
        difference=value - beside if paired else None,
        difference_over_quarters=percentile_interval(differences, settings.level, blocks) if paired else None,
        higher_is_better=HIGHER_IS_BETTER[name],
        note=note,
    )


def _totals(sums: Sums) -> Sums:
    """Totals over all quarters: (S,)."""
    return {name: values.sum(axis=1) for name, values in sums.items()}


def _resampled(sums: Sums, counts: Floats) -> Sums:
    """Totals of every draw: (draws, S)."""
    seeds, quarters = sums["rows"].shape
    stacked = np.stack(list(sums.values())).reshape(-1, quarters)
    totals = (counts @ stacked.T).reshape(len(counts), len(sums), seeds)
    return {name: totals[:, at] for at, name in enumerate(sums)}


def _notes(rows: ForecastRows, ics: Floats, sums: Sums, interval_level: float) -> dict[str, str]:
    """Why values are absent or conventional, by metric."""
    totals = _totals(sums)
    notes = {"coverage": f"nominal coverage {interval_level:.0%}"}
    without = int(np.isnan(ics[0]).sum())
    flat = np.minimum.reduceat(rows.mean, rows.starts, axis=1) == np.maximum.reduceat(rows.mean, rows.starts, axis=1)
    conventional = int((flat & np.isfinite(ics)).all(axis=0).sum())
    parts = []
    if without:
        parts.append(f"{without} of {len(rows.quarters)} quarters have fewer than 3 names and no rank IC")
    if conventional:
        parts.append(
            f"the forecast is the same for all names in {conventional} quarters, whose rank IC is 0 by convention"
        )
    notes["rank_ic"] = "; ".join(parts)
    if (totals["forecast_up"] == 0).any():
        notes["precision"] = "no rise was forecast: 0 by convention"
    if (totals["rose"] == 0).any():
        notes["recall"] = "nothing rose: 0 by convention"
    if rows.target == DIRECTION:
        notes["sign_accuracy"] = "the same as accuracy, because the label is a direction"
    if (np.ptp(rows.mean, axis=1) == 0).any():
        notes["pearson"] = "the forecast is constant: 0 by convention"
    if np.ptp(rows.label) == 0:
        notes["pearson"] = "the label is constant: 0 by convention"
        notes["r2"] = "undefined, because the label is constant"
    return notes

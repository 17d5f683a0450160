"""What an audit looks at: one object with optional parts. None means that a part is not at hand.

Shapes use these letters: D dates, S symbols, F columns, N rows, T sessions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from alfred.core.calendar import Dates
from alfred.core.contracts import Bars, Bools, Floats, Names
from alfred.core.errors import DataError


@dataclass(frozen=True)
class PanelEvidence:
    """Features as they were used.

    Attributes:
        dates: (D,) ascending.
        symbols: S tickers.
        columns: F names.
        values: (D, S, F), NaN where missing.
        present: (D, S) rows that there are.
        quoted_levels: whether levels of prices are as quoted on their day; None where nobody says.
    """

    dates: Dates
    symbols: tuple[str, ...]
    columns: tuple[str, ...]
    values: Floats
    present: Bools
    quoted_levels: bool | None = None

    def __post_init__(self) -> None:
        shape = (len(self.dates), len(self.symbols))
        if self.values.shape != (*shape, len(self.columns)) or self.present.shape != shape:
            raise DataError(
                f"a panel of {shape} dates and symbols needs values {(*shape, len(self.columns))} and present {shape}, "
                f"got {self.values.shape} and {self.present.shape}."
            )
        if len(self.dates) > 1 and (np.diff(self.dates.astype("datetime64[D]").astype(np.int64)) <= 0).any():
            raise DataError("the dates of a panel must ascend without repeats.")

    def column(self, at: int) -> Floats:
        """(D, S) values of one column, NaN where missing or where there is no row."""
        return np.where(self.present, self.values[:, :, at], np.nan)


@dataclass(frozen=True)
class LabelEvidence:
    """A label beside a panel.

    Attributes:
        name: what it is called.
        values: (D, S), NaN where it is not known.
        horizon: dates of the panel from a row to the date of its label.
        relative: the relative change over the horizon that the label is about, (D, S): the label itself, or PM beside
            a label of direction or rank. None where it is not at hand.
        realised_on: (D, S) date on which each label became known, NaT where it has not; None where nobody says.
        others: more labels by name, none of which may be a feature.
        foreseeable: what was known before tells much of it, as a company's last accounts do of its next: then how well
            columns and forecasts go with it is beyond no belief.
    """

    name: str
    values: Floats
    horizon: int = 1
    relative: Floats | None = None
    realised_on: Dates | None = None
    others: dict[str, Floats] = field(default_factory=dict)
    foreseeable: bool = False


@dataclass(frozen=True)
class Rows:
    """Rows of a part: symbols and decision dates (N,), and where known when each row's label was realised."""

    dates: Dates
    symbols: Names
    realised_on: Dates | None = None

    def __len__(self) -> int:
        return len(self.dates)

    def frame(self) -> pl.DataFrame:
        """Columns date, symbol."""
        return pl.DataFrame({"date": self.dates, "symbol": self.symbols.tolist()}, schema_overrides={"date": pl.Date})


@dataclass(frozen=True)
class FoldRows:
    """Rows of one step of the evaluation. `valid` is None where nothing was held out to choose by."""

    train: Rows
    test: Rows
    valid: Rows | None = None


@dataclass(frozen=True)
class ScalerEvidence:
    """A scaler of one fold.

    Attributes:
        fold: which.
        columns: F names.
        rules: (F) rule of each.
        center, spread: (F,) in transformed units.
        power: (F,) exponents, NaN where a rule has none.
        rows: that it was fitted on, whether or not their label is known; None where it says no more than that they
            are the fold's training rows.
    """

    fold: int
    columns: tuple[str, ...]
    rules: tuple[str, ...]
    center: Floats
    spread: Floats
    power: Floats
    rows: Rows | None = None


@dataclass(frozen=True)
class ScaledRows:
    """Training rows of one fold after scaling, before anything is cut off.

    Attributes:
        fold: which.
        columns: F names.
        largest: (F,) largest value of each, regardless of sign; NaN where there is none.
        bound: beyond which none should reach.
    """

    fold: int
    columns: tuple[str, ...]
    largest: Floats
    bound: float


@dataclass(frozen=True)
class BasketChoice:
    """A greedy choice of least correlated names.

    Attributes:
        start: the name that was asked for.
        chosen: names in the order of choice.
        excluded: names that could not be chosen.
        on: "returns" or "levels": what was correlated, as it says.
        bars: prices known on the day of the choice; None where the choice cannot be repeated.
    """

    start: str
    chosen: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    on: str = "returns"
    bars: Bars | None = None


@dataclass(frozen=True)
class LossEvidence:
    """A loss that an analyst trained on.

    Attributes:
        analyst, name: whose, and what it is called.
        rows: gives the value of every row for forecasts and labels (N,).
        probability: whether forecasts are probabilities and labels 0 or 1, so that the sides part at 1/2, not at 0.
    """

    analyst: str
    name: str
    rows: Callable[[Floats, Floats], Floats]
    probability: bool = False


@dataclass(frozen=True)
class FitEvidence:
    """One training.

    Attributes:
        analyst, seed, fold: which.
        learns_by_epochs: whether it has a learning curve at all.
        train_loss, valid_loss: (E,) by epoch; NaN where it was not measured.
        kept: epoch that was kept, counted from 1; 0 where none was.
        untrained_on_purpose: it was asked for as an untrained control.
    """

    analyst: str
    seed: int
    fold: int
    learns_by_epochs: bool
    train_loss: Floats
    valid_loss: Floats
    kept: int
    untrained_on_purpose: bool = False


@dataclass(frozen=True)
class FigureEvidence:
    """A figure that is reported.

    Attributes:
        analyst, name: which.
        random: whether the analyst depends on a seed.
        seeds: over how many it was averaged.
        over_seeds, over_quarters: whether it carries these intervals.
    """

    analyst: str
    name: str
    random: bool
    seeds: int
    over_seeds: bool
    over_quarters: bool


@dataclass(frozen=True)
class AccountEvidence:
    """An account, or what is reported in place of one.

    Attributes:
        name: of the strategy or benchmark.
        is_benchmark: whether others are compared with it.
        stated_total_return: compounded return as it is reported, 0.5 is +50%.
        dates, value: (T,) the account's path; None where there is no account behind the number.
        turnover_per_year, costs: as reported.
        sharpe: as reported.
        trades_pct: (N,) percentages of completed trades, with `trades` their names.
        holdings_pct: (S,) buy-and-hold percentage of each name, for a benchmark of several.
    """

    name: str
    is_benchmark: bool
    stated_total_return: float
    dates: Dates | None = None
    value: Floats | None = None
    turnover_per_year: float | None = None
    costs: float | None = None
    sharpe: float | None = None
    trades_pct: Floats | None = None
    trades: tuple[str, ...] = ()
    holdings_pct: Floats | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything that checks may look at.

    Attributes:
        panel, label: features and what is to be forecast.
        known_at: (D, S) day on which a row's last value became known, NaT where nobody says.
        period_end: (D, S) end of the period that a row's accounts are about.
        protocol: name of the question asked, of `alfred.evaluation.protocols`.
        baskets: training and evaluation names.
        folds: rows of the parts.
        predictions: columns symbol, date, mean; perhaps analyst, seed, fold, target, label (what came).
        scalers, scaled: what scaling learnt, and what it gave.
        bars: columns symbol, date, close; perhaps open and volume; sorted.
        listing: columns symbol, first, last: the span of each name's prices, of the whole universe.
        actions: columns symbol, date, kind, ratio: delistings, splits, renames.
        facts: columns symbol, concept, period_end, known_at, value; `earnings`: symbol, period_end, known_at,
            reported_eps, estimated_eps, surprise.
        digests: columns published_at, knowledge_cutoff, digester; `language_columns` are columns of the panel made
            of them, and `knowledge_cutoff` the cutoff of the model behind them.
        choices: baskets chosen by correlation.
        losses, fits, figures, accounts: see their classes.
        trials: how many evaluations of this family were made, this one among them.
        deflated: Sharpe ratios deflated by that count, by account.
        members_by_date: whether the universe was made of members of each date.
    """

    panel: PanelEvidence | None = None
    label: LabelEvidence | None = None
    known_at: Dates | None = None
    period_end: Dates | None = None
    protocol: str | None = None
    baskets: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    folds: tuple[FoldRows, ...] | None = None
    predictions: pl.DataFrame | None = None
    scalers: tuple[ScalerEvidence, ...] | None = None
    scaled: tuple[ScaledRows, ...] | None = None
    bars: pl.DataFrame | None = None
    listing: pl.DataFrame | None = None
    actions: pl.DataFrame | None = None
    facts: pl.DataFrame | None = None
    earnings: pl.DataFrame | None = None
    digests: pl.DataFrame | None = None
    language_columns: tuple[str, ...] | None = None
    knowledge_cutoff: np.datetime64 | None = None
    choices: tuple[BasketChoice, ...] | None = None
    losses: tuple[LossEvidence, ...] | None = None
    fits: tuple[FitEvidence, ...] | None = None
    figures: tuple[FigureEvidence, ...] | None = None
    accounts: tuple[AccountEvidence, ...] | None = None
    trials: int | None = None
    deflated: dict[str, float] | None = None
    members_by_date: bool | None = None

"""The audit of a run: everything that its checks may look at, gathered anew from what the run used and found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from alfred.analysts import AnalystSpec, describe
from alfred.core.contracts import DIRECTION, LABELS, MAGNITUDE, Floats, Windows
from alfred.core.errors import AuditError
from alfred.core.home import Home
from alfred.evaluation.audit import (
    AccountEvidence,
    Audit,
    BasketChoice,
    Evidence,
    FigureEvidence,
    FitEvidence,
    FoldRows,
    LabelEvidence,
    LossEvidence,
    PanelEvidence,
    Rows,
    ScaledRows,
    ScalerEvidence,
    examine,
)
from alfred.evaluation.contracts import Scorecard
from alfred.evaluation.protocols import SEALED
from alfred.experiments.counting import counted
from alfred.experiments.deflated import deflated_ratios, tracks_of
from alfred.experiments.market import Market, known_on
from alfred.experiments.prepared import Prepared, prepare, read_inputs
from alfred.experiments.record import PortfolioResult, RunRecord, load_frame, load_record
from alfred.experiments.study import Study, entry_name
from alfred.experiments.vault import known_vault
from alfred.experiments.walkforward import WalkForward
from alfred.lake.matrix import bar_matrix
from alfred.panel.catalogue import catalogue
from alfred.panel.panel import Panel
from alfred.panel.windows import WindowMaker
from alfred.training.losses import loss_function
from alfred.training.settings import LossSettings
from alfred.universe.baskets import Baskets

LANGUAGE = {"language": "digests", "filings": "filings"}
"""Families of columns that are made of digests, and where a panel's tables have these."""


@dataclass(frozen=True)
class Results:
    """What a run found: tables as in its record, scorecards and portfolios.

    Attributes:
        specs: all analysts that forecast, the naive ones among them.
        trials: evaluations of this family so far, this one among them; None where nobody counts.
        deflated: Sharpe ratios deflated by that count, by portfolio.
    """

    specs: tuple[AnalystSpec, ...]
    forecasts: pl.DataFrame
    curves: pl.DataFrame
    accounts: pl.DataFrame
    ledger: pl.DataFrame
    scorecards: tuple[Scorecard, ...]
    portfolios: tuple[PortfolioResult, ...]
    trials: int | None = None
    deflated: dict[str, float] | None = None


def audit_run(home: Home, folder: Path) -> Audit:
    """Audit a finished run once more: its tables as they are now, its data at the versions that it read.

    Raises:
        AlfredError: the run or its data cannot be read.
    """
    from alfred.experiments.run import walk_of, with_naive

    record = load_record(folder)
    study = _study_of(record, folder)
    opened = known_vault(study, home) if record.protocol == SEALED else None
    prepared = prepare(study, home, read_inputs(study, home, record.data.versions, opened))
    accounts, tried = load_frame(folder, "accounts"), counted(folder, record)
    found = Results(
        specs=with_naive(study.analysts),
        forecasts=load_frame(folder, "forecasts"),
        curves=load_frame(folder, "curves"),
        accounts=accounts,
        ledger=load_frame(folder, "ledger"),
        scorecards=record.scorecards,
        portfolios=record.portfolios,
        trials=None if tried is None else tried.count,
        deflated=deflated_ratios(record.portfolios, tracks_of(record.portfolios, accounts), tried),
    )
    return examine(evidence_of(study, prepared, walk_of(study, prepared, home), found))


def require_clean(audit: Audit) -> None:
    """Stop where results cannot be believed.

    Raises:
        AuditError: the audit found errors; the message tells the first, and how many more there are.
    """
    if not audit.errors:
        return
    first, more = audit.errors[0], len(audit.errors) - 1
    others = f" {more} more: {', '.join(dict.fromkeys(error.check for error in audit.errors[1:]))}." if more else ""
    raise AuditError(
        f"the audit stopped this run: {first.check} (finding {first.row}): {first.what} "
        f"What to do: {first.advice}.{others}"
    )


def evidence_of(study: Study, prepared: Prepared, walk: WalkForward, found: Results) -> Evidence:
    """Everything of a run that checks may look at."""
    inputs, panel = prepared.inputs, prepared.panel
    bars = inputs.tables.bars.select("symbol", "date", "open", "close", "volume")
    language = tuple(name for name in panel.features if catalogue()[name].family in LANGUAGE)
    read = sorted({LANGUAGE[catalogue()[name].family] for name in language})
    texts = [getattr(inputs.tables, name).select("published_at", "knowledge_cutoff", "digester") for name in read]
    evidence = Evidence(
        panel=panel_evidence(panel, inputs.market),
        label=_label(panel),
        protocol=study.universe.protocol,
        baskets=(inputs.baskets.training, inputs.baskets.evaluation),
        predictions=_predictions(found.forecasts),
        bars=bars,
        listing=listing_of(inputs.market),
        actions=inputs.tables.actions,
        facts=inputs.tables.facts,
        earnings=inputs.tables.earnings,
        digests=pl.concat(texts) if texts else None,
        language_columns=language,
        choices=choices_of(study, inputs.market, inputs.baskets),
        losses=losses_of(found.specs, study.train.loss),
        fits=_fits(found, kept=walk.kept is not None),
        figures=_figures(found),
        accounts=_accounts(found),
        trials=found.trials,
        deflated=found.deflated,
        members_by_date=bool(study.panel.members),
    )
    return with_folds(evidence, study, walk)


def _study_of(record: RunRecord, folder: Path) -> Study:
    """The run's study; names that came from a file are those that it found there."""
    settings = dict(record.settings)
    if settings["universe"]["baskets"] is not None:
        names = {"training": record.training_basket, "evaluation": record.evaluation_basket}
        settings["universe"] = {**names, "protocol": record.protocol}
    return Study.parse(settings, f"{folder.name}/run.json")


def panel_evidence(panel: Panel, market: Market) -> PanelEvidence:
    """A panel's features and rows."""
    return PanelEvidence(panel.dates, panel.symbols, panel.features, panel.values, panel.listed, market.levels_usable)


def listing_of(market: Market) -> pl.DataFrame:
    """Span of each name's prices; one that took another ticker has not ended."""
    spans = market.bars.group_by("symbol").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    renamed = market.view.actions().filter(pl.col("kind") == "rename")["symbol"].unique().to_list()
    goes_on = pl.col("symbol").is_in(renamed)
    return spans.with_columns(pl.when(goes_on).then(pl.col("last").max()).otherwise("last").alias("last"))


def _label(panel: Panel) -> LabelEvidence:
    labels = panel.labels
    others = {name: labels.values[name] for name in LABELS if name != MAGNITUDE and name in labels.values}
    return LabelEvidence(
        MAGNITUDE, labels.of(MAGNITUDE), labels.horizon_quarters, labels.of(MAGNITUDE), labels.realised, others
    )


def with_folds(evidence: Evidence, study: Study, walk: WalkForward) -> Evidence:
    """Rows that each fold's analysts were handed, and what scaling learnt from the training rows."""
    folds, scalers, scaled = [], [], []
    for at, fold in enumerate(walk.folds):
        maker = WindowMaker.fit(walk.panel, fold.train, walk.training, study.panel)
        train, valid = (
            maker.windows(part, walk.training, DIRECTION, labelled=True) for part in (fold.train, fold.valid)
        )
        test = maker.windows(fold.test, walk.evaluation, DIRECTION, labelled=False)
        folds.append(FoldRows(*(_rows(walk.panel, part) for part in (train, test, valid))))
        scaler, largest = scaling_evidence(at, maker, fold.train, walk.training, study.panel.scaled_bound)
        scalers.append(scaler)
        scaled.append(largest)
    return replace(evidence, folds=tuple(folds), scalers=tuple(scalers), scaled=tuple(scaled))


def scaling_evidence(
    number: int, maker: WindowMaker, dates: NDArray[np.int64], training: Sequence[str], bound: float
) -> tuple[ScalerEvidence, ScaledRows]:
    """What a fold's scaler learnt, with the listed rows that it was to learn from, labelled or not, and their sizes.

    Args:
        number: of the fold.
        maker: fitted on them.
        dates: positions of the training dates in the panel.
        training: symbols to learn from.
        bound: beyond which no scaled value should reach.
    """
    panel, scaler = maker.panel, maker.scaler
    place = {symbol: at for at, symbol in enumerate(panel.symbols)}
    names = np.array([place[symbol] for symbol in training], np.int64)
    row, column = np.nonzero(panel.listed[np.ix_(dates, names)])
    date, name = dates[row], names[column]
    rows = Rows(panel.dates[date], np.array(panel.symbols)[name])
    # Before anything is cut off.
    scaled = np.abs(replace(scaler, clip=np.inf).transform(panel.values[date, name]))
    largest = np.nan_to_num(scaled, nan=0.0, posinf=np.inf).max(axis=0, initial=0.0)
    learnt = (scaler.columns, tuple(scaler.rules), scaler.center, scaler.spread, scaler.power)
    return ScalerEvidence(number, *learnt, rows), ScaledRows(number, scaler.columns, largest, bound)


def _rows(panel: Panel, windows: Windows) -> Rows:
    place = {symbol: at for at, symbol in enumerate(panel.symbols)}
    column = np.array([place[symbol] for symbol in windows.symbols.tolist()], np.int64)
    realised = panel.labels.realised[np.searchsorted(panel.dates, windows.dates), column]
    return Rows(windows.dates, windows.symbols, realised)


def _predictions(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Forecasts with the label that each was about."""
    came = pl.coalesce(pl.when(pl.col("target") == name).then(pl.col(name)) for name in LABELS if name in forecasts)
    return forecasts.select(
        "symbol", pl.col("as_of").alias("date"), "mean", "analyst", "seed", "fold", "target", came.alias("label")
    )


def choices_of(study: Study, market: Market, baskets: Baskets) -> tuple[BasketChoice, ...]:
    """Baskets that a scan chose, with the prices that it knew."""
    wish = study.universe.scan
    if wish is None:
        return ()
    bars = bar_matrix(known_on(market, wish.as_of))
    return (
        BasketChoice(wish.training_start, baskets.training, (wish.evaluation_start,), bars=bars),
        BasketChoice(wish.evaluation_start, baskets.evaluation, baskets.training, bars=bars),
    )


def losses_of(specs: Sequence[AnalystSpec], settings: LossSettings) -> tuple[LossEvidence, ...]:
    """Losses of the analysts that train by gradients."""
    found = []
    for spec in specs:
        about = describe(spec.name)
        if about.is_network and not spec.untrained:
            name = spec.loss or about.loss
            found.append(LossEvidence(entry_name(spec), name, _RowLoss(name, settings), probability=name == "bce"))
    return tuple(found)


@dataclass(frozen=True)
class _RowLoss:
    """The differentiable loss that training uses, row by row, in double precision."""

    name: str
    settings: LossSettings

    def __call__(self, forecasts: Floats, labels: Floats) -> Floats:
        import torch

        loss = loss_function(self.name, "identity", self.settings)
        values: Floats = loss.rows(torch.from_numpy(forecasts), torch.from_numpy(labels)).numpy()
        return values


def _fits(found: Results, kept: bool) -> tuple[FitEvidence, ...]:
    """Trainings by epochs, from the learning curves; a kept model was trained once, whatever it forecasts."""
    networks = {entry_name(spec): spec for spec in found.specs if describe(spec.name).is_network}
    made = found.forecasts.select("analyst", "seed", "fold").unique(maintain_order=True)
    curves = {
        key: rows.sort("epoch")
        for key, rows in found.curves.partition_by("analyst", "seed", "fold", as_dict=True).items()
    }
    fits = []
    for key in made.iter_rows():
        analyst, seed, fold = key
        rows = curves.get(key)
        if analyst not in networks or (kept and fold > 0):
            continue
        best = [] if rows is None else np.flatnonzero(rows["best"].to_numpy()).tolist()
        fits.append(
            FitEvidence(
                analyst, seed, fold, True,
                np.zeros(0) if rows is None else rows["train_loss"].to_numpy(),
                np.zeros(0) if rows is None else rows["valid_loss"].to_numpy(),
                best[0] + 1 if best else 0,
                untrained_on_purpose=networks[analyst].untrained,
            )
        )  # fmt: skip
    return tuple(fits)


def _figures(found: Results) -> tuple[FigureEvidence, ...]:
    random = {entry_name(spec): describe(spec.name).uses_seed for spec in found.specs}
    return tuple(
        FigureEvidence(
            card.analyst, figure.name, random.get(card.analyst, True), card.seeds, figure.over_seeds is not None,
            figure.over_quarters is not None,
        )
        for card in found.scorecards
        for figure in card.figures
        if figure.value is not None
    )  # fmt: skip


def _accounts(found: Results) -> tuple[AccountEvidence, ...]:
    trades = _trades(found.ledger)
    accounts = []
    for result in found.portfolios:
        path = found.accounts.filter(pl.col("portfolio") == result.name).sort("date")
        own = trades.filter(pl.col("portfolio") == result.name)
        what = result.statistics
        accounts.append(
            AccountEvidence(
                name=result.name,
                is_benchmark=result.kind == "benchmark",
                stated_total_return=what.total_return,
                dates=path["date"].to_numpy().astype("datetime64[D]"),
                value=path["value"].to_numpy(),
                turnover_per_year=what.turnover_per_year,
                costs=what.costs,
                sharpe=what.sharpe,
                trades_pct=own["percent"].to_numpy(),
                trades=tuple(own["name"].to_list()),
            )
        )
    return tuple(accounts)


def _trades(ledger: pl.DataFrame) -> pl.DataFrame:
    """Completed trades from the ledger's lines: portfolio, name, percent of the entry price."""
    entry = pl.when(pl.col("action").str.ends_with("CREATE"))
    over = ["portfolio", "symbol"]
    lines = ledger.with_columns(
        entry.then("price").forward_fill().over(over).alias("entered"),
        entry.then("date").forward_fill().over(over).alias("since"),
    )
    closed = lines.filter(pl.col("profit").is_not_null())
    name = pl.format("{} {} to {}", "symbol", "since", "date")
    return closed.select("portfolio", name.alias("name"), (100 * pl.col("profit") / pl.col("entered")).alias("percent"))

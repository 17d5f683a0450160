"""Complete evidence of an honest evaluation, small and invented, into which tests plant one defect each."""

import functools
from dataclasses import replace

import numpy as np
import polars as pl

from alfred.core.contracts import Bars, Floats
from alfred.evaluation.audit import (
    AccountEvidence,
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
)
from alfred.universe.baskets import scan

DATES, NAMES, SESSIONS = 40, 30, 63
ENDED = (3, 11, 19, 27)
TRAIN, VALID, TEST = range(20), range(20, 26), range(26, DATES)
SYMBOLS = tuple(f"T{at:02d}" for at in range(NAMES))
TRAINING, EVALUATION = SYMBOLS[:15], SYMBOLS[15:]
COLUMNS = ("past_change", "volatility", "margin", "EPS", "sentiment", "VIX", "drawdown", "surprise")
CUTOFF = np.datetime64("2001-12-31")


def smooth_loss(forecast: Floats, label: Floats) -> Floats:
    """Squared error and a sign penalty with a gradient."""
    wrong = 0.5 - np.arctan(forecast * np.sign(label) / 0.05) / np.pi
    return (forecast - label) ** 2 + 0.03 * wrong


def jumping_loss(forecast: Floats, label: Floats) -> Floats:
    """Squared error and a count of wrong signs, as in the notes."""
    return (forecast - label) ** 2 + 0.03 * (np.sign(forecast) != np.sign(label))


def quarter_ends() -> np.ndarray:
    months = np.datetime64("2004-04", "M") + 3 * np.arange(DATES)
    return months.astype("datetime64[D]") - 1


@functools.cache
def clean() -> Evidence:
    rng = np.random.default_rng(0)
    dates, days, closes = _prices(rng)
    at_end = np.searchsorted(days, dates, side="right") - 1
    quoted = closes[at_end]
    label = np.full((DATES, NAMES), np.nan)
    label[:-1] = quoted[1:] / quoted[:-1] - 1
    present = np.isfinite(quoted)
    panel = PanelEvidence(dates, SYMBOLS, COLUMNS, _features(rng, label, present), present, quoted_levels=True)
    realised = np.repeat(np.append(dates[1:], np.datetime64("NaT", "D"))[:, None], NAMES, axis=1)
    parts = [
        _rows(panel, label, realised, *part) for part in ((TRAIN, TRAINING), (TEST, EVALUATION), (VALID, TRAINING))
    ]
    fold = FoldRows(*parts)
    long = _long(days, closes)
    return Evidence(
        panel=panel,
        label=LabelEvidence("PM", label, 1, label, realised, {"PQ": np.where(np.isnan(label), np.nan, label > 0)}),
        known_at=np.repeat(dates[:, None], NAMES, axis=1),
        period_end=np.repeat((dates - 91)[:, None], NAMES, axis=1),
        protocol="other-tickers-other-years",
        baskets=(TRAINING, EVALUATION),
        folds=(fold,),
        predictions=_predictions(rng, panel, label),
        scalers=(scaler(panel, TRAIN, TRAINING),),
        scaled=(ScaledRows(0, COLUMNS, np.full(len(COLUMNS), 4.2), 100.0),),
        bars=long,
        listing=long.group_by("symbol").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last")),
        actions=_actions(days, closes),
        facts=_facts(rng, dates),
        earnings=_earnings(rng, dates),
        digests=pl.DataFrame(
            {
                "published_at": (dates - 5).astype("datetime64[us]"),
                "knowledge_cutoff": [CUTOFF.item()] * DATES,
                "digester": ["lm"] * DATES,
            }
        ),
        language_columns=("sentiment",),
        knowledge_cutoff=CUTOFF,
        choices=_choices(days, closes),
        losses=(LossEvidence("network", "mse-sign", smooth_loss),),
        fits=tuple(fit(seed) for seed in range(2)),
        figures=tuple(FigureEvidence("network", name, True, 2, True, True) for name in ("rank_ic", "loss")),
        accounts=_accounts(rng, days),
        trials=1,
        deflated={},
        members_by_date=False,
    )  # fmt: skip


def _prices(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Floats]:
    """Quarter ends, sessions, and (T, S) closes: the last session of each quarter is its last calendar day."""
    dates = quarter_ends()
    days = np.concatenate([date - np.arange(SESSIONS)[::-1] for date in dates])
    daily = 0.0004 + 0.008 * rng.standard_normal((len(days), 1)) + 0.018 * rng.standard_normal((len(days), NAMES))
    closes = 40 * np.exp(np.cumsum(daily, axis=0)) * rng.uniform(0.5, 2, NAMES)
    for place, at in enumerate(ENDED):
        closes[(28 + 2 * place) * SESSIONS + 30 :, at] = np.nan
    return dates, days, closes


def _long(days: np.ndarray, closes: Floats) -> pl.DataFrame:
    row, column = np.nonzero(np.isfinite(closes))
    return pl.DataFrame(
        {"symbol": np.array(SYMBOLS)[column].tolist(), "date": days[row], "close": closes[row, column]}
    ).sort("symbol", "date")  # fmt: skip


def _actions(days: np.ndarray, closes: Floats) -> pl.DataFrame:
    ends = [days[int(np.flatnonzero(np.isfinite(closes[:, at]))[-1])].item() for at in ENDED]
    names = [SYMBOLS[at] for at in ENDED]
    return pl.DataFrame(
        {"symbol": names, "date": ends, "kind": ["delisting"] * len(ENDED), "ratio": [None] * len(ENDED)}
    )


def _features(rng: np.random.Generator, label: Floats, present: np.ndarray) -> Floats:
    def wandering(scale: float) -> Floats:
        steps = rng.standard_normal((DATES, NAMES))
        for date in range(1, DATES):
            steps[date] = 0.8 * steps[date - 1] + 0.6 * steps[date]
        return scale * steps

    past = np.full((DATES, NAMES), np.nan)
    past[1:] = label[:-1]
    vix = np.repeat(20 + np.cumsum(rng.standard_normal(DATES))[:, None], NAMES, axis=1)
    surprise = np.where(rng.random((DATES, NAMES)) < 0.1, 0.0, rng.standard_normal((DATES, NAMES)))
    columns = [
        past, np.exp(wandering(0.3)), 0.1 + wandering(0.05), np.round(0.8 + wandering(0.6), 2), wandering(0.4), vix,
        np.minimum(wandering(0.2), 0.0), surprise,
    ]  # fmt: skip
    values = np.stack(columns, axis=2)
    values[:6, :, 4] = np.nan
    return np.where(present[:, :, None], values, np.nan)


def _rows(panel: PanelEvidence, label: Floats, realised: np.ndarray, dates: range, names: tuple[str, ...]) -> Rows:
    place = [panel.symbols.index(name) for name in names]
    known = np.isfinite(label[np.ix_(dates, place)])
    row, column = np.nonzero(known)
    at, of = np.array(dates)[row], np.array(place)[column]
    return Rows(panel.dates[at], np.array(panel.symbols)[of], realised[at, of])


def scaler(panel: PanelEvidence, dates: range, names: tuple[str, ...]) -> ScalerEvidence:
    rows = training_values(panel, dates, names)
    count = len(panel.columns)
    center, spread = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    date, name = listed(panel, dates, names)
    fitted_on = Rows(panel.dates[date], np.array(panel.symbols)[name])
    return ScalerEvidence(0, panel.columns, ("standard",) * count, center, spread, np.full(count, np.nan), fitted_on)


def training_values(panel: PanelEvidence, dates: range, names: tuple[str, ...]) -> Floats:
    rows: Floats = panel.values[listed(panel, dates, names)]
    return rows


def listed(panel: PanelEvidence, dates: range, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of dates and names of the rows that there are, whether or not they have a label."""
    place = np.array([panel.symbols.index(name) for name in names])
    row, column = np.nonzero(panel.present[np.ix_(dates, place)])
    return np.array(dates)[row], place[column]


def _predictions(rng: np.random.Generator, panel: PanelEvidence, label: Floats) -> pl.DataFrame:
    place = [panel.symbols.index(name) for name in EVALUATION]
    keys = [(seed, date, at) for seed in range(2) for date in TEST for at in place if panel.present[date, at]]
    seeds, dates, names = (np.array(part) for part in zip(*keys, strict=True))
    return pl.DataFrame(
        {
            "symbol": np.array(panel.symbols)[names].tolist(), "date": panel.dates[dates],
            "mean": 0.02 + 0.05 * rng.standard_normal(len(keys)), "analyst": "network", "seed": seeds,
            "fold": np.zeros(len(keys), np.int64), "label": label[dates, names],
        }
    )  # fmt: skip


def _facts(rng: np.random.Generator, dates: np.ndarray) -> pl.DataFrame:
    known = (dates + 40).astype("datetime64[us]")
    return pl.concat(
        pl.DataFrame(
            {
                "symbol": symbol, "concept": concept, "period_end": dates, "known_at": known,
                "value": rng.lognormal(3, 1, DATES),
            }
        )
        for concept in ("Revenue", "GrossProfit")
        for symbol in SYMBOLS
    )  # fmt: skip


def _earnings(rng: np.random.Generator, dates: np.ndarray) -> pl.DataFrame:
    frames = []
    for symbol in SYMBOLS:
        reported = np.round(rng.normal(0.5, 0.4, DATES), 2)
        estimated = np.round(reported + rng.normal(0, 0.03, DATES), 2)
        frames.append(
            pl.DataFrame(
                {
                    "symbol": symbol, "period_end": dates, "known_at": (dates + 28).astype("datetime64[us]"),
                    "reported_eps": reported, "estimated_eps": estimated, "surprise": reported - estimated,
                }
            )
        )  # fmt: skip
    return pl.concat(frames)


def _choices(days: np.ndarray, closes: Floats) -> tuple[BasketChoice, ...]:
    known = closes[: 26 * SESSIONS]
    bars = Bars(days[: 26 * SESSIONS], SYMBOLS, known, known)
    first = scan(bars, "T00", 5).symbols
    second = scan(bars, next(name for name in SYMBOLS if name not in first), 5, exclude=first)
    return (
        BasketChoice("T00", first, bars=bars),
        BasketChoice(second.symbols[0], second.symbols, first, bars=bars),
    )


def fit(seed: int) -> FitEvidence:
    epochs = np.arange(1, 13)
    train = 0.02 / epochs
    valid = 0.02 + 0.001 * np.abs(epochs - 6 - seed)
    return FitEvidence("network", seed, 0, True, train, valid, 6 + seed)


def _accounts(rng: np.random.Generator, days: np.ndarray) -> tuple[AccountEvidence, ...]:
    found = []
    sessions = days[26 * SESSIONS :]
    for name, benchmark in (("network · simple", False), ("1/N", True), ("buy and hold", True), ("index", True)):
        value = np.exp(np.cumsum(0.0003 + 0.01 * rng.standard_normal(len(sessions))))
        trades = None if benchmark else rng.normal(1.0, 8.0, 40)
        found.append(
            AccountEvidence(
                name, benchmark, float(value[-1] - 1), sessions, value, turnover_per_year=1.5, costs=0.02, sharpe=0.4,
                trades_pct=trades, trades=tuple(f"trade {at}" for at in range(40)),
            )
        )  # fmt: skip
    return tuple(found)


def with_column(evidence: Evidence, name: str, values: Floats) -> Evidence:
    """One more column in the panel; what scaling had learnt no longer fits and is left out."""
    panel = evidence.panel
    assert panel is not None
    there = np.where(panel.present, values, np.nan)
    cells = np.concatenate([panel.values, there[:, :, None]], axis=2)
    wider = replace(panel, columns=(*panel.columns, name), values=cells)
    return replace(evidence, panel=wider, scalers=None)


def with_values(evidence: Evidence, values: Floats) -> Evidence:
    """The panel with other cells."""
    assert evidence.panel is not None
    return replace(evidence, panel=replace(evidence.panel, values=values), scalers=None)

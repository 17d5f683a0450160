"""A realistic run's folder from seeded random numbers: what the page is made from, without running a study."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alfred.backtest.attribution import Attribution
from alfred.backtest.contracts import AccountStatistics, TradeAnalysis
from alfred.core.calendar import day, decision_dates, sessions_between
from alfred.core.contracts import Interval
from alfred.evaluation.contracts import CalibrationBin, Figure, Scorecard, YearCoverage
from alfred.experiments.deflated import tracks_of
from alfred.experiments.record import (
    DataSummary,
    Efficiency,
    FoldSummary,
    LeftOut,
    PanelSummary,
    PortfolioResult,
    RunRecord,
    StageTiming,
    dump_record,
)

ANALYSTS = ("naive", "momentum", "ridge", "vanilla.small", "vanilla.small.tanh")
NETWORKS = ("vanilla.small", "vanilla.small.tanh")
SEEDS = (0, 1, 2)
SYMBOLS = ("AAPL", "BAC", "CVX", "GE", "HD", "JNJ", "KO", "MRK", "UNH", "WMT")
TRAINING = ("AMD", "BBY", "JPM", "LLY", "MSFT", "PEP", "PFE", "PG", "RRC", "XOM")
BENCHMARKS = ("1/N", "buy and hold", "index")
TRADED = (
    ("ridge", "simple"), ("ridge", "nuanced"), ("vanilla.small", "simple"), ("vanilla.small", "nuanced"),
    ("vanilla.small.tanh", "magnitude-choice"),
)  # fmt: skip
QUARTERS = 60
FIRST, LAST = day("2007-09-30"), day("2022-12-28")
RISE = 0.583


def portfolio_names() -> tuple[str, ...]:
    return (*(f"{analyst} · {strategy}" for analyst, strategy in TRADED), *BENCHMARKS)


def make_record() -> RunRecord:
    rng = np.random.default_rng(20)
    dates = decision_dates(day("1996-01-01"), LAST)
    return RunRecord(
        study="demo",
        digest="3f9a1c0e5b7d2a4488c1e0d93b6f7a21",
        created_at="2025-11-22T12:40:07+00:00",
        alfred_version="0.1.0",
        protocol="other-tickers-other-years",
        question="Does what was learnt from some companies hold for other companies in later years?",
        verdict=(
            "No skill shown by any of 4 analysts over 60 quarters: the best was ridge with a rank IC of 0.021 "
            "(-0.034 to 0.072), and an IC below 0.081 could not have been told from zero."
        ),
        warnings=(
            "Survivorship: these companies were chosen because they still existed at the end of the data.",
            "Look-ahead: Close is a price level adjusted backwards; it knows later splits and dividends.",
        ),
        data=_data(),
        training_basket=TRAINING,
        evaluation_basket=SYMBOLS,
        panel=_panel(dates),
        folds=_folds(dates),
        seeds=SEEDS,
        scorecards=tuple(_scorecard(rng, name) for name in ANALYSTS),
        portfolios=_portfolios(rng),
        efficiency=_efficiency(),
        timings=(
            StageTiming("data", 0.42, False),
            StageTiming("panel", 1.31, True),
            StageTiming("analyst vanilla.small", 84.2, False),
            StageTiming("evaluation", 6.7, False),
            StageTiming("backtest", 0.093, False),
        ),
        environment={"python": "3.11.9", "machine": "Linux x86_64", "numpy": "2.4.6", "torch": "2.13.0"},
        settings={"name": "demo", "seeds": list(SEEDS), "analysts": [{"name": name} for name in ANALYSTS]},
        cost_bps=10.0,
        execution="filled at the decision date's own close, 10 bps of traded value, shares held until the next quarter",
        peak_memory_mb=812.4,
    )


def _data() -> DataSummary:
    return DataSummary(
        provider="sample",
        note="Daily prices of 20 large US companies that ship with skfolio, and the S&P 500 index.",
        versions={"bars": 0, "members": 0},
        first="1990-01-02",
        last="2022-12-28",
        symbols=20,
        sessions=8313,
        missing=(
            LeftOut("volume", "the provider has none; features that need it are missing"),
            LeftOut("open", "the provider has none; features that need it are missing"),
        ),
    )


def _panel(dates: np.ndarray) -> PanelSummary:
    names = ["Close_diff_MA_7", "Close_diff_MA_30", "Close_diff_MA_90", "Close_diff_MA_180", "momentum_12_1"]
    names += ["price_change_term_7", "price_change_term_30", "price_change_term_120", "volatility_90", "beta_252"]
    columns = tuple(names + [f"delta_{name}" for name in names])
    return PanelSummary(
        digest="9d1b7c5a3e2f40881122334455667788",
        first=str(dates[0]),
        last=str(dates[-1]),
        dates=len(dates),
        columns=columns,
        missing_share={name: 0.004 * place for place, name in enumerate(columns)},
        left_out=(
            LeftOut("Volume_diff_MA_7", "every cell is missing: bars have no volume"),
            LeftOut("Margin_Gross", "needs the table facts, which this provider doesn't fill"),
        ),
        rows_without_label=20,
        labels={"traded": 1_940, "delisting return": 3, "default -30% for the reason '*'": 1, "not listed": 36},
    )


def _folds(dates: np.ndarray) -> tuple[FoldSummary, ...]:
    found = []
    for start in range(len(dates) - QUARTERS, len(dates), 4):
        train, valid, test = dates[: start - 10], dates[start - 9 : start - 1], dates[start : start + 4]
        ends = [str(part[at]) for part in (train, valid, test) for at in (0, -1)]
        found.append(FoldSummary(*ends, len(train) * 10, len(valid) * 10, len(test) * 10))
    return tuple(found)


_METRICS = {
    # name: centre, spread, naive, higher is better
    "rank_ic": (0.015, 0.03, 0.0, True),
    "loss": (0.0102, 0.0004, 0.0101, False),
    "accuracy": (0.571, 0.012, RISE, True),
    "sign_accuracy": (0.569, 0.012, RISE, True),
    "precision": (0.585, 0.02, RISE, True),
    "recall": (0.83, 0.05, 1.0, True),
    "f1": (0.70, 0.03, 0.737, True),
    "mae": (0.1012, 0.002, 0.1008, False),
    "r2": (-0.012, 0.01, -0.003, True),
    "pearson": (0.02, 0.03, 0.0, True),
    "log_loss": (0.684, 0.006, 0.680, False),
    "brier": (0.2451, 0.003, 0.2432, False),
    "coverage": (0.79, 0.015, 0.81, None),
    "width": (0.33, 0.01, 0.335, None),
}


def _scorecard(rng: np.random.Generator, analyst: str) -> Scorecard:
    naive = analyst == "naive"
    figures = tuple(_figure(rng, name, analyst) for name in _METRICS)
    edges = [0.56] if naive else [0.42, 0.5, 0.56, 0.62, 0.71]
    bins = []
    for middle in edges:
        observed = float(np.clip(0.5 * middle + 0.29 + rng.normal(0, 0.03), 0, 1))
        rows = 600 if naive else int(rng.integers(40, 220))
        half = 1.96 * (observed * (1 - observed) / rows) ** 0.5
        bins.append(
            CalibrationBin(
                middle + float(rng.normal(0, 0.008)), observed, Interval(observed - half, observed + half), rows
            )
        )
    ic = figures[0]
    said = (
        f"The forecast to beat: huber loss 0.0101 (0.0089 to 0.0116) over {QUARTERS} quarters; accuracy 58.3%."
        if naive
        else f"No skill shown: rank IC {ic.value:+.3f} over {QUARTERS} quarters; an IC below 0.081 could not have been "
        f"told from zero; accuracy {figures[2].value:.1%} against 58.3% for always up."
    )
    years = tuple(YearCoverage(2007 + at, float(np.clip(rng.normal(0.79, 0.09), 0, 1)), 40, 4) for at in range(16))
    return Scorecard(
        analyst,
        "PM",
        "huber",
        600,
        QUARTERS,
        1 if naive else 3,
        RISE,
        figures,
        0.081,
        tuple(bins),
        said,
        False,
        10,
        coverage_by_year=years,
    )


def _figure(rng: np.random.Generator, name: str, analyst: str) -> Figure:
    centre, spread, naive, higher = _METRICS[name]
    value = naive if analyst == "naive" else float(rng.normal(centre, spread / 2))
    half, seeds = spread * 1.6, 0.0 if analyst in {"naive", "momentum", "ridge"} else spread / 3
    wide = 0.0 if analyst == "naive" else half * 0.8
    note = "nominal coverage 80%" if name == "coverage" else ""
    if name == "rank_ic" and analyst == "naive":
        note = "the forecast is the same for all names in 60 quarters, whose rank IC is 0 by convention"
    return Figure(
        name,
        value,
        Interval(value - half, value + half),
        Interval(value - seeds, value + seeds),
        naive,
        value - naive,
        Interval(value - naive - wide, value - naive + wide),
        higher,
        note,
    )


def _portfolios(rng: np.random.Generator) -> tuple[PortfolioResult, ...]:
    paths = accounts()
    found = []
    for place, (analyst, strategy) in enumerate(TRADED):
        trades = TradeAnalysis(
            220 + place, 128, 92 + place, 10, 128 / (220 + place), float(rng.normal(1.4, 0.5)),
            float(rng.normal(310, 90)), "AMD 2016-03-31 to 2016-06-30", 80.4, 0.08,
        )  # fmt: skip
        if strategy == "magnitude-choice":
            trades = replace(
                trades, best_trade="RRC 2020-03-31 to 2021-03-31", best_trade_pct=487.1, best_trade_share=0.61
            )
        name = f"{analyst} · {strategy}"
        statistics = _statistics(paths.filter(pl.col("portfolio") == name), float(rng.uniform(1.5, 3.5)))
        found.append(PortfolioResult(name, "strategy", analyst, strategy, statistics, trades))
    for name in BENCHMARKS:
        statistics = _statistics(paths.filter(pl.col("portfolio") == name), 0.2)
        found.append(PortfolioResult(name, "benchmark", None, None, statistics))
    tracks = tracks_of(found, paths)
    return tuple(_attributed(replace(one, track=tracks[one.name]), rng) for one in found)


def _attributed(one: PortfolioResult, rng: np.random.Generator) -> PortfolioResult:
    equal = one.name == "1/N"
    return replace(one, over_cash=_parts(rng), over_equal=None if equal else _parts(rng))


def _parts(rng: np.random.Generator) -> Attribution:
    market, selection, trading, borrow = rng.normal([0.06, -0.01, -0.012, -0.003], [0.03, 0.02, 0.004, 0.001]).tolist()
    interval = Interval(selection - 0.03, selection + 0.03)
    whole = market + selection + trading + borrow
    costs = {"trading": trading, "borrow": borrow}
    return Attribution(15.2, market * 12, whole, market, None, selection, interval, costs)


def _statistics(path: pl.DataFrame, turnover: float) -> AccountStatistics:
    value = path["value"].to_numpy()
    daily = value[1:] / value[:-1] - 1
    rate = float(value[-1] ** (252 / len(value)) - 1)
    volatility = float(daily.std() * 252**0.5)
    sharpe = float(daily.mean() * 252 / volatility)
    return AccountStatistics(
        float(value[-1] - 1), rate, Interval(rate - 0.09, rate + 0.1), volatility, sharpe,
        Interval(sharpe - 0.5, sharpe + 0.5), float(path["drawdown"].to_numpy().min()), turnover, turnover * 0.015,
    )  # fmt: skip


def _efficiency() -> tuple[Efficiency, ...]:
    closed = [
        Efficiency(name, size, 15, took, None, None, None)
        for name, size, took in (("naive", 2, 0.002), ("momentum", 3, 0.01), ("ridge", 41, 0.21))
    ]
    learnt = [Efficiency(name, 614_657, 45, 84.2, 0.061, 41_200.0, 9.0, 0.55, 412.0, 3120.0) for name in NETWORKS]
    return (*closed, *learnt)


def write_run(folder: Path, record: RunRecord | None = None) -> Path:
    """Write a whole run's folder; tests replace what they are about."""
    record = record or make_record()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(dump_record(record), encoding="utf-8")
    (folder / "study.toml").write_text('name = "demo"\nseeds = [0, 1, 2]\n', encoding="utf-8")
    quarters().write_parquet(folder / "quarters.parquet")
    curves().write_parquet(folder / "curves.parquet")
    accounts().write_parquet(folder / "accounts.parquet")
    ledger().write_parquet(folder / "ledger.parquet")
    return folder


def quarters() -> pl.DataFrame:
    rng = np.random.default_rng(21)
    dates = decision_dates(day("1996-01-01"), LAST)[-QUARTERS:]
    parts = []
    for analyst in ANALYSTS:
        ic = np.zeros(QUARTERS) if analyst == "naive" else np.clip(rng.normal(0.02, 0.33, QUARTERS), -1, 1)
        parts.append(
            pl.DataFrame(
                {
                    "analyst": [analyst] * QUARTERS,
                    "as_of": dates,
                    "rank_ic": ic,
                    "accuracy": np.clip(rng.normal(0.57, 0.2, QUARTERS), 0, 1),
                    "rise_share": np.clip(rng.normal(0.583, 0.25, QUARTERS), 0, 1),
                    "rows": [10] * QUARTERS,
                }
            ).with_columns(pl.col("as_of").cast(pl.Date))
        )
    return pl.concat(parts)


CURVES = {
    "analyst": pl.String, "seed": pl.Int64, "fold": pl.Int64, "epoch": pl.Int64, "train_loss": pl.Float64,
    "valid_loss": pl.Float64, "learning_rate": pl.Float64, "best": pl.Boolean,
}  # fmt: skip


def curves() -> pl.DataFrame:
    rng = np.random.default_rng(22)
    rows = []
    for analyst in NETWORKS:
        for fold in range(15):
            for seed in SEEDS:
                length = int(rng.integers(14, 31))
                best = int(rng.integers(4, length - 6))
                epochs = np.arange(1, length + 1)
                train = 0.010 + 0.006 * np.exp(-epochs / 5) + rng.normal(0, 1e-4, length)
                valid = 0.0112 + 0.004 * np.exp(-epochs / 3) + 4e-6 * (epochs - best) ** 2 + rng.normal(0, 2e-4)
                rows += [
                    (analyst, seed, fold, int(at), float(train[at - 1]), float(valid[at - 1]), 1e-3, bool(at == best))
                    for at in epochs
                ]
    return pl.DataFrame(rows, schema=CURVES, orient="row")


def accounts() -> pl.DataFrame:
    rng = np.random.default_rng(23)
    sessions = sessions_between(FIRST, LAST)
    market = rng.standard_t(4, len(sessions)) * 0.0075 + 0.0011
    market[270:330] -= 0.01
    parts = []
    for place, name in enumerate(portfolio_names()):
        own = market * (1.0 if name in BENCHMARKS else 0.5) + rng.normal(0, 0.003, len(sessions)) - 0.00002 * place
        value = np.cumprod(1 + own)
        drawdown = value / np.maximum.accumulate(value) - 1
        frame = pl.DataFrame({"date": sessions, "value": value, "drawdown": drawdown})
        parts.append(frame.select(pl.lit(name).alias("portfolio"), pl.col("date").cast(pl.Date), "value", "drawdown"))
    return pl.concat(parts)


LEDGER = {
    "portfolio": pl.String, "date": pl.String, "action": pl.String, "symbol": pl.String, "price": pl.Float64,
    "reading": pl.Float64, "profit": pl.Float64,
}  # fmt: skip


def ledger() -> pl.DataFrame:
    rng = np.random.default_rng(24)
    dates = decision_dates(day("1996-01-01"), LAST)[-QUARTERS:]
    actions = ("BUY CREATE", "SELL_SHORT CREATE", "HOLD_LONG", "HOLD_SHORT", "CLOSE_LONG", "CLOSE_SHORT")
    rows = []
    for analyst, strategy in TRADED:
        for date in dates:
            for symbol in SYMBOLS:
                action = actions[int(rng.integers(6))]
                profit = float(rng.normal(0.4, 6)) if action.startswith("CLOSE") else None
                price, reading = float(rng.lognormal(3.5, 0.8)), float(rng.normal(0.01, 0.05))
                rows.append((f"{analyst} · {strategy}", str(date), action, symbol, price, reading, profit))
    return pl.DataFrame(rows, schema=LEDGER, orient="row")


@pytest.fixture
def run_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run's folder, of the realistic record or of another."""

    def make(record: RunRecord | None = None) -> Path:
        return write_run(tmp_path / "run", record)

    return make


def page_json(text: str, element: str) -> dict:
    """The JSON inside one of the page's script elements."""
    start = text.index(f'<script type="application/json" id="{element}">')
    return json.loads(text[text.index(">", start) + 1 : text.index("</script>", start)])

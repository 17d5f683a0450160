"""Accounts: value and drawdown day by day, statistics net of costs, and the notes' trade analysis."""

import math
from dataclasses import dataclass

import polars as pl

from alfred.backtest.contracts import TradeAnalysis
from alfred.experiments.portfolios import FEWEST_TRADES
from alfred.experiments.record import PortfolioResult, RunRecord
from alfred.report.format import COUNT, DASH, PERCENT, PERCENT_POINTS, RATIO, NumberStyle, listed, significant
from alfred.report.frames import thin
from alfred.report.palette import Series
from alfred.report.plot import Json, Plot, axis, layout, plain
from alfred.report.table import Cell, Column, Table, measured


@dataclass(frozen=True)
class AccountSection:
    """What the page shows of the accounts; `notices` are plain sentences about results not to be trusted."""

    convention: str
    notices: tuple[str, ...]
    plot: Plot | None
    statistics: Table | None
    trades: Table | None


def account_section(record: RunRecord, accounts: pl.DataFrame, series: dict[str, Series]) -> AccountSection:
    """Every strategy and benchmark, on the same sessions and costs."""
    convention = f"{record.execution[:1].upper()}{record.execution[1:].rstrip('.')}."
    if not record.frictions and f"{record.cost_bps:g} bps" not in convention:
        convention += f" Costs: {record.cost_bps:g} bps of traded value."
    portfolios = record.portfolios
    return AccountSection(
        convention,
        tuple(_notices(portfolios)),
        _plot(portfolios, accounts, series),
        _statistics(portfolios) if portfolios else None,
        _trades(portfolios),
    )


def twin(portfolio: PortfolioResult, portfolios: tuple[PortfolioResult, ...]) -> str:
    """The benchmark whose account a strategy's is, to nine digits; empty where there is none."""
    for other in portfolios:
        pairs = zip(_marks(portfolio), _marks(other), strict=True)
        if other.kind == "benchmark" and portfolio.kind == "strategy" and all(abs(a - b) < 1e-9 for a, b in pairs):
            return other.name
    return ""


def _marks(portfolio: PortfolioResult) -> tuple[float, ...]:
    numbers = portfolio.statistics
    return numbers.total_return, numbers.annual_volatility, numbers.max_drawdown, numbers.costs


def _notices(portfolios: tuple[PortfolioResult, ...]) -> list[str]:
    said = []
    twins: dict[str, list[str]] = {}
    for portfolio in portfolios:
        if benchmark := twin(portfolio, portfolios):
            twins.setdefault(benchmark, []).append(portfolio.name)
    for benchmark, names in twins.items():
        said.append(f"The same account as {benchmark}, so no evidence of anything: {listed(names)}.")
    for portfolio in portfolios:
        ruined = portfolio.statistics.ruined_on
        if ruined:
            said.append(f"{portfolio.name} was ruined on {ruined}: nothing was left, and the account stays at zero.")
        trades = portfolio.trades
        if trades and trades.completed >= FEWEST_TRADES and trades.best_trade_share > 0.5:
            said.append(
                f"One trade makes most of {portfolio.name}: {trades.best_trade} "
                f"({PERCENT_POINTS.difference().text(trades.best_trade_pct)}) is "
                f"{PERCENT.text(trades.best_trade_share)} of all its gains."
            )
    return said


def _plot(portfolios: tuple[PortfolioResult, ...], accounts: pl.DataFrame, series: dict[str, Series]) -> Plot | None:
    traces: list[Json] = []
    legend = []
    # Benchmarks come last in the legend and lie on top of the strategies that they are compared with.
    for portfolio in sorted(portfolios, key=lambda entry: entry.kind == "benchmark"):
        own = accounts.filter(pl.col("portfolio") == portfolio.name).sort("date")
        if own.is_empty():
            continue
        legend.append(series[portfolio.name])
        traces += _traces(thin(own), series[portfolio.name], portfolio.statistics.ruined_on)
    if not traces:
        return None
    money = {
        "type": "log",
        "domain": [0.36, 1],
        "tickvals": ticks(accounts["value"]),
        "tickformat": "~g",
    }
    return Plot(
        "plot-accounts",
        "Account value and drawdown",
        "Above, one unit of capital over time on a logarithmic scale, net of costs, so that equal slopes are equal "
        "rates; below, the fall from each account's last peak. With a mouse, drag to zoom and double-click to return.",
        f"Account value and drawdown over time of {len(legend)} portfolios.",
        traces,
        layout(
            axis("date", {"type": "date", "anchor": "y2", "showgrid": False}),
            axis("value (start = 1)", money),
            {
                "yaxis2": axis("drawdown", {"domain": [0, 0.28], "tickformat": ".0%", "nticks": 4}),
                "dragmode": "zoom",
            },
        ),
        height=620,
        phone_height=520,
        phone={"dragmode": False},
        legend=tuple(legend),
    )


def ticks(values: pl.Series) -> list[float]:
    """Round values for a logarithmic axis, fewer where it spans more decades."""
    alive = values.filter(values.is_finite() & (values > 0)).to_list()
    decades = math.log10(max(alive) / min(alive)) if alive else 0.0
    steps = (1, 1.5, 2, 3, 4, 5, 7) if decades < 1 else (1, 2, 5) if decades < 3 else (1,)
    return [step * 10.0**power for power in range(-6, 9) for step in steps]


def _traces(own: pl.DataFrame, line: Series, ruined_on: str | None) -> list[Json]:
    dates = own["date"].dt.to_string().to_list()
    value = [significant(v) if v is not None and v > 0 else None for v in own["value"]]
    fall = [round(v, 4) if v is not None else None for v in own["drawdown"]]
    shared: Json = {
        "type": "scatter",
        "mode": "lines",
        "name": plain(line.label),
        "meta": line.key,
        "x": dates,
        "line": {"color": line.colour, "width": line.width, "dash": line.dash},
    }
    drawn = [
        shared | {"y": value, "hovertemplate": "%{x|%Y-%m-%d}, value %{y:.3f}<extra>%{fullData.name}</extra>"},
        shared
        | {
            "y": fall,
            "yaxis": "y2",
            "line": shared["line"] | {"width": 1},
            "hovertemplate": "%{x|%Y-%m-%d}, drawdown %{y:.1%}<extra>%{fullData.name}</extra>",
        },
    ]
    alive = [(date, v) for date, v in zip(dates, value, strict=True) if v is not None]
    if ruined_on and alive:
        drawn.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": plain(line.label),
                "meta": line.key,
                "x": [alive[-1][0]],
                "y": [alive[-1][1]],
                "marker": {"symbol": "x", "size": 11, "color": line.colour},
                "hovertemplate": f"ruined on {plain(ruined_on)}<extra>%{{fullData.name}}</extra>",
            }
        )
    return drawn


def _statistics(portfolios: tuple[PortfolioResult, ...]) -> Table:
    columns = (
        Column("Portfolio"),
        Column("Annual return", numeric=True, title="compounded, net of costs"),
        Column("Sharpe", numeric=True, title="without a risk-free rate"),
        Column("Total return", numeric=True, title="compounded over the whole span"),
        Column("Volatility", numeric=True, title="annual, of daily returns"),
        Column("Max. drawdown", numeric=True, title="largest fall from a peak"),
        Column("Turnover p.a.", numeric=True, title="traded value over account value; buying 100% counts 1"),
        Column("Costs (start = 1)", numeric=True, title="in units of the initial capital"),
        Column("Trades", numeric=True, title="completed"),
        Column("Win rate", numeric=True, title="profitable over completed trades"),
    )
    return Table(
        "Net of costs, on the same sessions. Small print: interval by block bootstrap", columns, _rows(portfolios)
    )


def _rows(portfolios: tuple[PortfolioResult, ...]) -> tuple[tuple[Cell, ...], ...]:
    rows = []
    for portfolio in portfolios:
        numbers, trades = portfolio.statistics, portfolio.trades
        same = twin(portfolio, portfolios)
        kind = ("benchmark",) if portfolio.kind == "benchmark" else (f"the same account as {same}",) if same else ()
        ruin = (f"ruined on {numbers.ruined_on}",) if numbers.ruined_on else ()
        completed = trades is not None and trades.completed > 0
        rows.append(
            (
                Cell(portfolio.name, kind + ruin),
                measured(numbers.annual_return, PERCENT, numbers.annual_return_interval),
                measured(numbers.sharpe, RATIO, numbers.sharpe_interval),
                measured(numbers.total_return, NumberStyle(0, percent=True)),
                measured(numbers.annual_volatility, PERCENT),
                measured(numbers.max_drawdown, PERCENT),
                measured(numbers.turnover_per_year, RATIO),
                measured(numbers.costs, NumberStyle(3)),
                measured(trades.completed if trades else None, COUNT, title="" if trades else "benchmarks don't trade"),
                measured(
                    trades.win_rate if trades and completed else None,
                    PERCENT,
                    title="" if completed else "no completed trade",
                ),
            )
        )
    return tuple(rows)


def _trades(portfolios: tuple[PortfolioResult, ...]) -> Table | None:
    traded = [(portfolio, portfolio.trades) for portfolio in portfolios if portfolio.trades is not None]
    if not traded:
        return None
    columns = (
        Column("Portfolio"),
        Column("Completed", numeric=True),
        Column("Profitable", numeric=True),
        Column("Losing", numeric=True),
        Column("Open", numeric=True),
        Column("Win rate", numeric=True),
        Column("Average trade", numeric=True, title="of the entry price, before costs"),
        Column("Sum of trade %", numeric=True, title="not a return: these trades could not be held together"),
        Column("Best trade", whole=True),
        Column("Its share", numeric=True, title="of the sum of all gains; above one half, one trade makes the result"),
    )
    return Table("The notes' trade analysis, before costs", columns, tuple(_trade_row(p, t) for p, t in traded))


def _trade_row(portfolio: PortfolioResult, trades: TradeAnalysis) -> tuple[Cell, ...]:
    some = trades.completed > 0
    none = "" if some else "no completed trade"
    counts = (trades.completed, trades.profitable, trades.losing, trades.open)
    best = Cell(trades.best_trade, (PERCENT_POINTS.difference().text(trades.best_trade_pct),))
    return (
        Cell(portfolio.name),
        *(Cell(COUNT.text(count), sort=count) for count in counts),
        measured(trades.win_rate if some else None, PERCENT, title=none),
        measured(trades.average_profit_pct if some else None, PERCENT_POINTS.difference(), title=none),
        measured(trades.sum_of_trade_pct if some else None, PERCENT_POINTS.difference(), title=none),
        best if trades.best_trade else Cell(DASH, title=none),
        measured(trades.best_trade_share if some else None, PERCENT, title=none),
    )

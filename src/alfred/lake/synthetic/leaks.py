"""Defects planted on purpose, each one that the original experiments or their data had, for an audit to find."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from alfred.core.contracts import Bools
from alfred.core.errors import ConfigError
from alfred.lake.known import known_at_close
from alfred.lake.synthetic.bars import Quotes
from alfred.lake.synthetic.companies import FINANCIALS, Companies, reusing
from alfred.lake.synthetic.others import LATE_SERIES
from alfred.lake.synthetic.settings import Leak, SyntheticSettings
from alfred.lake.synthetic.span import Span

TWIN = "SYTWIN"
STALE_SESSIONS = 250
DEAD_SESSIONS = 60
REVEALED = 6.0
"""exp(6 x next quarter's change) multiplies the last volume of a quarter."""
PRICES = ("open", "high", "low", "close", "adj_close")


@dataclass(frozen=True)
class PlantedLeak:
    """One defect.

    Attributes:
        name: the setting that switches it on.
        finding: number of the finding it repeats, as in `docs/synthetic.md`.
        tables: tables that carry it.
        symbols: names concerned; empty where all are.
        what: what was done, in one sentence.
    """

    name: Leak
    finding: int
    tables: tuple[str, ...]
    symbols: tuple[str, ...]
    what: str


@dataclass(frozen=True, eq=False)
class Plan:
    """Which company each defect strikes.

    Attributes:
        leaks: what is planted, in the order of the settings.
        company: position of the company that a defect of one name strikes.
    """

    leaks: tuple[PlantedLeak, ...]
    company: dict[Leak, int]

    def has(self, leak: Leak) -> bool:
        """Whether that defect is planted."""
        return any(planted.name == leak for planted in self.leaks)


def make_plan(settings: SyntheticSettings, quotes: Quotes) -> Plan:
    """Choose the companies that defects strike.

    Raises:
        ConfigError: the market has no company that a defect could strike.
    """
    chosen: dict[Leak, int] = {}
    planted = []
    for leak in settings.leaks:
        fit = _candidates(leak, quotes)
        if fit is not None:
            free = [company for company in np.flatnonzero(fit).tolist() if company not in chosen.values()]
            if not free:
                raise ConfigError(
                    f"the leak {leak} finds no company it could strike; make more symbols or years, or another seed."
                )
            chosen[leak] = free[0]
        planted.append(_described(leak, quotes.companies, chosen.get(leak)))
    return Plan(tuple(planted), chosen)


def plant_bars(plan: Plan, quotes: Quotes, bars: pl.DataFrame) -> pl.DataFrame:
    """Bars with the defects of prices and volumes."""
    span, companies, basis = quotes.span, quotes.companies, quotes.basis
    if plan.has("volume_knows_the_future"):
        bars = _reveal(bars, quotes)
    for leak in ("unadjusted_split", "stale_prices", "twin_ticker", "prices_after_delisting"):
        at = plan.company.get(leak)
        symbol = pl.col("symbol") == companies.tickers[at][0] if at is not None else pl.lit(value=False)
        own = bars.filter(symbol)
        if at is None or own.is_empty():
            continue
        if leak == "unadjusted_split":
            quarter = int(np.flatnonzero(basis.ratio[at] > 1)[-1])
            before = symbol & (pl.col("date") < span.sessions[basis.split_at[at, quarter]])
            bars = _scaled(bars, before, float(basis.ratio[at, quarter]))
        elif leak == "stale_prices":
            bars = _stale(bars, symbol, own)
        elif leak == "twin_ticker":
            bars = pl.concat([bars, own.with_columns(pl.lit(TWIN).alias("symbol"))])
        else:
            bars = pl.concat([bars, _dead_quotes(span, own, int(companies.last[at]))])
    return bars


def plant_facts(plan: Plan, companies: Companies, facts: pl.DataFrame) -> pl.DataFrame:
    """Facts known too early, and zeros where there is no fact."""
    if plan.has("zeros_for_missing"):
        banks = {name for at in np.flatnonzero(companies.sector == FINANCIALS) for name in companies.tickers[at]}
        zeros = facts.filter(pl.col("symbol").is_in(banks) & (pl.col("concept") == "Revenue"))
        facts = pl.concat(
            [facts, zeros.with_columns(pl.lit("GrossProfit").alias("concept"), pl.lit(0.0).alias("value"))]
        )
    if plan.has("facts_at_period_end"):
        first = ~pl.col("form").str.ends_with("/A")
        facts = facts.with_columns(pl.when(first).then(_period_end(facts)).otherwise("known_at").alias("known_at"))
    return facts


def plant_earnings(plan: Plan, earnings: pl.DataFrame) -> pl.DataFrame:
    """Earnings known too early, and zeros where no one made an estimate."""
    if plan.has("zeros_for_missing"):
        earnings = earnings.with_columns(pl.col("estimated_eps", "surprise", "surprise_pct").fill_null(0.0))
    if plan.has("facts_at_period_end"):
        earnings = earnings.with_columns(_period_end(earnings))
    return earnings


def plant_series(plan: Plan, span: Span, series: pl.DataFrame) -> pl.DataFrame:
    """The late series with its first value on all sessions before it began."""
    if not plan.has("macro_filled_backwards"):
        return series
    late = series.filter(pl.col("series") == LATE_SERIES)
    before = len(span.sessions) - len(late)
    filled = pl.DataFrame({"date": span.sessions[:before], "known_at": span.closes[:before]}).with_columns(
        pl.lit(late["value"][0]).alias("value"), pl.lit(LATE_SERIES).alias("series")
    )
    return pl.concat([series, filled])


def dropped(plan: Plan, companies: Companies) -> tuple[str, ...]:
    """Tickers that `survivors_only` removes from every table."""
    if not plan.has("survivors_only"):
        return ()
    return tuple(name for at in np.flatnonzero(companies.delisted) for name in dict.fromkeys(companies.tickers[at]))


def _candidates(leak: Leak, quotes: Quotes) -> Bools | None:
    """(S,) companies that a defect of one name may strike; None for a defect of all names."""
    companies, end = quotes.companies, len(quotes.span.sessions)
    pair = reusing(companies)
    plain: Bools = companies.renamed == end
    if pair is not None:
        plain[list(pair)] = False
    fit: Bools | None = None
    if leak in {"stale_prices", "twin_ticker"}:
        fit = plain & (companies.first == 0) & (companies.last == end - 1)
    if leak == "unadjusted_split":
        fit = plain & (quotes.basis.ratio > 1).any(axis=1)
    if leak == "prices_after_delisting":
        fit = plain & companies.delisted & (companies.last < end - DEAD_SESSIONS - 1)
    return fit


def _described(leak: Leak, companies: Companies, company: int | None) -> PlantedLeak:
    symbols = () if company is None else (companies.tickers[company][0],)
    if leak == "twin_ticker":
        symbols = (*symbols, TWIN)
    if leak == "reused_ticker":
        pair = reusing(companies)
        symbols = () if pair is None else (companies.tickers[pair[0]][0],)
    finding, tables, what = _WHAT[leak]
    return PlantedLeak(leak, finding, tables, symbols, what)


_WHAT: dict[Leak, tuple[int, tuple[str, ...], str]] = {
    "facts_at_period_end": (
        6, ("facts", "earnings"), "facts and earnings are known at their period's end instead of after their filing",
    ),
    "macro_filled_backwards": (
        4, ("series",), f"{LATE_SERIES} carries its first value on all sessions before it began",
    ),
    "prices_after_delisting": (
        21, ("bars",), f"the last price is repeated, without volume, for {DEAD_SESSIONS} sessions after the delisting",
    ),
    "reused_ticker": (9, ("bars", "facts", "earnings"), "another company takes the ticker of a delisted one"),
    "stale_prices": (
        9, ("bars",), f"the price stands still for {STALE_SESSIONS} sessions and then jumps to where it should be",
    ),
    "survivors_only": (18, ("bars", "actions", "sectors", "facts", "earnings", "insider", "articles"),
                       "companies that were delisted are left out of all tables"),
    "twin_ticker": (2, ("bars",), "one company's bars stand under two tickers"),
    "unadjusted_split": (9, ("bars",), "prices before the name's last split are not adjusted for it"),
    "volume_knows_the_future": (
        20, ("bars",), "the last volume of each quarter is multiplied by exp(6 x the next quarter's change)",
    ),
    "zeros_for_missing": (
        5, ("facts", "earnings"), "estimates that no one made, and gross profits that no one reports, are 0",
    ),
}  # fmt: skip


def _period_end(frame: pl.DataFrame) -> pl.Series:
    """Instant of the close of the last session up to the period's end, or of the next where that is no session."""
    return known_at_close(frame["period_end"])


def _scaled(bars: pl.DataFrame, which: pl.Expr, factor: float) -> pl.DataFrame:
    return bars.with_columns(
        *(pl.when(which).then(pl.col(name) * factor).otherwise(name).alias(name) for name in PRICES),
        pl.when(which).then(pl.col("volume") / factor).otherwise("volume").alias("volume"),
    )


def _stale(bars: pl.DataFrame, symbol: pl.Expr, own: pl.DataFrame) -> pl.DataFrame:
    start = len(own) // 2
    stood = own.row(start, named=True)
    until = own["date"][min(start + STALE_SESSIONS, len(own) - 1)]
    which = symbol & (pl.col("date") > stood["date"]) & (pl.col("date") < until)
    flat = dict.fromkeys(PRICES, stood["close"]) | {"adj_close": stood["adj_close"], "volume": 0.0}
    return bars.with_columns(
        pl.when(which).then(pl.lit(value)).otherwise(name).alias(name) for name, value in flat.items()
    )


def _dead_quotes(span: Span, own: pl.DataFrame, last: int) -> pl.DataFrame:
    after = slice(last + 1, last + 1 + DEAD_SESSIONS)
    days = pl.DataFrame({"date": span.sessions[after], "known_at": span.closes[after]})
    end = own.sort("date").row(-1, named=True)
    flat = dict.fromkeys(("open", "high", "low", "close"), end["close"])
    values = {"symbol": end["symbol"], **flat, "adj_close": end["adj_close"], "volume": 0.0}
    return days.with_columns(pl.lit(value).alias(name) for name, value in values.items()).select(own.columns)


def _reveal(bars: pl.DataFrame, quotes: Quotes) -> pl.DataFrame:
    span, companies = quotes.span, quotes.companies
    sessions = span.decisions[:-1]
    company, quarter = np.nonzero(companies.listed(sessions))
    factors = pl.DataFrame(
        {
            "symbol": companies.ticker(company, sessions[quarter]),
            "date": span.sessions[sessions[quarter]],
            "factor": np.exp(REVEALED * quotes.paths.change[company, quarter]),
        }
    )
    revealed = bars.join(factors, on=["symbol", "date"], how="left", maintain_order="left")
    volume = (pl.col("volume") * pl.col("factor").fill_null(1.0)).round().clip(1.0)
    return revealed.with_columns(volume).drop("factor")

"""Quarterly accounts with persistent growth and margins, filed late and sometimes restated, and earnings surprises."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from alfred.core.calendar import Dates
from alfred.core.contracts import Bools, Floats
from alfred.lake.known import known_next_sessions
from alfred.lake.synthetic.bars import Quotes
from alfred.lake.synthetic.companies import FINANCIALS, Companies
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.synthetic.span import Positions, Purpose, Span, active, stream

SURPRISE = 0.08
"""Standard deviation of a surprise, as a share of the estimate."""
FLOWS = ("Revenue", "GrossProfit", "OperatingIncome", "NetIncome", "OperatingCashFlow")
RESTATED = ("Revenue", "OperatingIncome", "NetIncome", "EPSDiluted")


@dataclass(frozen=True, eq=False)
class Accounts:
    """What S companies will report for Q quarters, and when.

    Attributes:
        items: concept to (S, Q) amounts in USD; flows of the quarter, or levels at its end.
        shares: (S,) shares before the market's first session.
        surprise: (S, Q) how far earnings per share lie above the estimate, in deviations of 8% of it; NaN for
            companies that no one estimates.
        announced, filed: (S, Q) days of the announcement and of the filing.
        restated: (S, Q) day of the restatement, NaT where there is none.
        restatement: (S, Q) restated amounts over first ones.
    """

    items: dict[str, Floats]
    shares: Floats
    surprise: Floats
    announced: Dates
    filed: Dates
    restated: Dates
    restatement: Floats

    def known_surprise(self, span: Span, companies: Companies) -> Floats:
        """(S, Q) the latest surprise known at each quarter's last close under the ticker then in force.

        Announcements come within 70 days of a period's end, so that is the one of the quarter before.
        """
        known = np.full(self.surprise.shape, np.nan)
        known[:, 1:] = self.surprise[:, :-1]
        usable = span.session_after(self.announced[:, :-1])
        current = companies.line_first(np.broadcast_to(span.decisions[1:], usable.shape))
        known[:, 1:][usable < current] = np.nan
        return known


def make_accounts(settings: SyntheticSettings, span: Span, companies: Companies) -> Accounts:
    """Draw all accounts.

    Growth and margins follow first-order autoregressions, as reported margins and growth do; all else is made of them.
    """
    count, quarters = len(companies), span.quarters
    normal, uniform = np.empty((6, count, quarters)), np.empty((5, count, quarters))
    start, covered = np.empty((5, count)), np.empty(count, np.bool_)
    for company in range(count):
        rng = stream(settings.seed, Purpose.FUNDAMENTALS, company)
        start[:, company], covered[company] = rng.standard_normal(5), rng.random() < 0.85
        normal[:, company] = rng.standard_normal((6, quarters))
        uniform[:, company] = stream(settings.seed, Purpose.FILINGS, company).random((5, quarters))
    growth = 0.012 + 0.006 * start[0][:, None] + _persistent(0.012 * normal[0], 0.7)
    season = 0.06 * start[1][:, None] * np.sin(np.pi / 2 * np.arange(quarters))
    revenue = np.exp(19.0 + 1.3 * start[2][:, None] + np.cumsum(growth, axis=1) + season)
    gross = 1 / (1 + np.exp(-(-0.3 + 0.6 * start[3][:, None] + _persistent(0.05 * normal[1], 0.9))))
    operating = gross * (0.35 + 0.08 * start[4][:, None]) + _persistent(0.012 * normal[2], 0.8) - 0.04
    income = revenue * operating
    net = np.where(income > 0, 0.78, 0.95) * income - 0.004 * revenue
    assets = 4 * revenue * np.exp(0.4 + 0.2 * start[1][:, None] + _persistent(0.02 * normal[3], 0.9))
    equity = assets * np.clip(0.45 + 0.12 * start[3][:, None] + _persistent(0.01 * normal[4], 0.9), 0.05, 0.9)
    cash = net + 0.012 * assets + 0.03 * revenue * normal[5]
    items = dict(zip(FLOWS, (revenue, revenue * gross, income, net, cash), strict=True))
    items |= {"Assets": assets, "Equity": equity}
    final = np.arange(quarters) % 4 == 3
    lag = np.where(final, 45 + uniform[0] * 26, 25 + uniform[0] * 21).astype(np.int64)
    filed = span.period_ends[None, :] + lag
    announced = filed - (uniform[1] * 6).astype(np.int64)
    late = filed + 90 + (uniform[2] * 275).astype(np.int64)
    restated = np.where(uniform[3] < settings.restatements, late, np.datetime64("NaT", "D"))
    surprise = _surprises(settings.seed, count, quarters)
    surprise[~covered] = np.nan
    # Sales of about half the market value fix how many shares there are at the quoted price.
    shares = 8 * revenue[:, 0] * np.exp(0.3 * start[4]) / companies.price
    restatement = 1 + 0.1 * (uniform[4] - 0.6)
    return Accounts(items, shares, surprise, announced, filed, restated, restatement)


def fact_rows(quotes: Quotes, accounts: Accounts, rows: slice) -> pl.DataFrame:
    """Facts of the companies `rows`: quarters, years (in the fourth quarter's filing) and levels, all vintages.

    Earnings per share are on the share basis of their day, as they were filed. Financials report no gross profit.
    """
    shares = _shares(quotes, accounts, rows)
    quarter = {name: accounts.items[name][rows] for name in FLOWS}
    year = {name: _over_year(values) for name, values in quarter.items()}
    for flows in (quarter, year):
        flows["EPSDiluted"] = flows["NetIncome"] / shares
    level = {name: accounts.items[name][rows] for name in ("Assets", "Equity")}
    first, again = accounts.filed[rows], accounts.restated[rows]
    final = np.broadcast_to(np.arange(quotes.span.quarters) % 4 == 3, shares.shape)
    every = np.ones(shares.shape, np.bool_)
    grosses = quotes.companies.sector[rows, None] != FINANCIALS
    parts = []
    for kind, values, which in (("quarter", quarter, every), ("year", year, final), ("instant", level, every)):
        for concept, amounts in values.items():
            told = which & (grosses if concept == "GrossProfit" else every)
            found = [_vintage(quotes, rows, first, told, amounts)]
            if concept in RESTATED:
                revised = amounts * accounts.restatement[rows]
                found.append(_vintage(quotes, rows, again, told & ~np.isnat(again), revised, amended="/A"))
            unit = "USD/share" if concept == "EPSDiluted" else "USD"
            names = {"concept": concept, "period_kind": kind, "unit": unit}
            parts += [frame.with_columns(pl.lit(value).alias(name) for name, value in names.items()) for frame in found]
    return pl.concat(parts)


def earnings_rows(quotes: Quotes, accounts: Accounts, rows: slice) -> pl.DataFrame:
    """Announced earnings per share beside their estimates; no estimate where no one makes one."""
    reported = accounts.items["NetIncome"][rows] / _shares(quotes, accounts, rows)
    share = SURPRISE * accounts.surprise[rows]
    # surprise = share * |estimate|, so the estimate follows from what was reported.
    estimated = reported / np.where(reported >= 0, 1 + share, 1 - share)
    row, quarter, session = _public(quotes, accounts.announced[rows], rows, np.ones(reported.shape, np.bool_))
    announced = pl.Series("announced", accounts.announced[rows][row, quarter])
    values = {
        "reported_eps": reported, "estimated_eps": estimated, "surprise": reported - estimated,
        "surprise_pct": 100 * share,
    }  # fmt: skip
    return pl.DataFrame(
        {
            "symbol": quotes.companies.ticker(row + rows.start, session),
            "period_end": quotes.span.period_ends[quarter],
            "announced": announced,
            "known_at": known_next_sessions(announced),
            **{name: pl.Series(matrix[row, quarter], nan_to_null=True) for name, matrix in values.items()},
        },
        schema_overrides={"symbol": pl.String},
    )


def _vintage(
    quotes: Quotes, rows: slice, filed: Dates, which: Bools, amounts: Floats, *, amended: str = ""
) -> pl.DataFrame:
    """One amount for each filing (n, Q) that `which` marks and that came while the company was listed."""
    row, quarter, session = _public(quotes, filed, rows, which)
    form = np.where(quarter % 4 == 3, f"10-K{amended}", f"10-Q{amended}").tolist()
    company = row + rows.start
    return pl.DataFrame(
        {
            "symbol": quotes.companies.ticker(company, session),
            "period_end": quotes.span.period_ends[quarter],
            "known_at": known_next_sessions(pl.Series(filed[row, quarter], dtype=pl.Date)),
            "value": amounts[row, quarter],
            "form": form,
            "accession": [f"synthetic-{c}-{q}{amended}" for c, q in zip(company, quarter, strict=True)],
        },
        schema_overrides={"symbol": pl.String, "form": pl.String, "accession": pl.String},
    )


def _public(quotes: Quotes, dates: Dates, rows: slice, which: Bools) -> tuple[Positions, Positions, Positions]:
    """Row, quarter and first usable session of what became public while the company was listed."""
    span, companies = quotes.span, quotes.companies
    session = span.session_after(np.where(np.isnat(dates), span.sessions[-1], dates))
    there = which & active(companies.first[rows, None], companies.last[rows, None], session)
    row, quarter = np.nonzero(there)
    return row, quarter, session[row, quarter]


def _shares(quotes: Quotes, accounts: Accounts, rows: slice) -> Floats:
    """(n, Q) shares outstanding at each quarter's end."""
    company = np.arange(rows.start, rows.stop)[:, None]
    quarters, decisions = np.arange(quotes.span.quarters), quotes.span.decisions
    factor = quotes.basis.factor(company, quarters[None, :], decisions[None, :])
    return accounts.shares[rows, None] * factor


def _persistent(noise: Floats, share: float) -> Floats:
    """(S, Q) first-order autoregression along quarters, started from its own long-run spread."""
    values = noise.copy()
    values[:, 0] /= np.sqrt(1 - share**2)
    for quarter in range(1, values.shape[1]):
        values[:, quarter] += share * values[:, quarter - 1]
    return values


def _over_year(flow: Floats) -> Floats:
    """(n, Q) sum of a quarter and the three before; of those there are in the first year."""
    total = np.cumsum(flow, axis=1)
    return total - np.pad(total, ((0, 0), (4, 0)))[:, : flow.shape[1]]


def _surprises(seed: int, count: int, quarters: int) -> Floats:
    values = np.stack([stream(seed, Purpose.SURPRISES, company).standard_normal(quarters) for company in range(count)])
    return np.clip(values, -4.0, 4.0)

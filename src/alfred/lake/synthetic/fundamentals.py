"""Quarterly accounts with persistent growth and margins, filed late and sometimes restated, and earnings surprises.

They are told as real filings tell them: income by quarter, but of the fourth quarter only the year; cash flows from the
fiscal year's begin; shares, and what is counted by share, on the basis of the day they are filed.
"""

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
CASH_FLOWS = ("OperatingCashFlow",)
NOT_OF_FINANCIALS = ("GrossProfit", "CurrentAssets", "CurrentLiabilities")
OTHER_YEARS = 0.25
"""Share of companies whose fiscal year does not end in December."""
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
        fiscal: (S, Q) quarter of the fiscal year, 0 to 3.
    """

    items: dict[str, Floats]
    shares: Floats
    surprise: Floats
    announced: Dates
    filed: Dates
    restated: Dates
    restatement: Floats
    fiscal: Positions

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
    items |= {"Assets": assets, "Equity": equity, "Liabilities": assets - equity}
    begin, working = _balance_sheets(settings.seed, count, quarters)
    items |= {"CurrentAssets": assets * working[0], "CurrentLiabilities": (assets - equity) * working[1]}
    # Whatever quarter it is of their year, companies are slow with that of December.
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
    fiscal = (np.arange(quarters) + begin[:, None]) % 4
    return Accounts(items, shares, surprise, announced, filed, restated, restatement, fiscal)


def fact_rows(quotes: Quotes, accounts: Accounts, rows: slice) -> pl.DataFrame:
    """Facts of the companies `rows`, all vintages, as the module says. Financials report no gross profit and do not
    tell what is current."""
    first, again = accounts.filed[rows], accounts.restated[rows]
    revised = accounts.restatement[rows]
    banks = quotes.companies.sector[rows, None] == FINANCIALS
    parts = []
    for concept in (*accounts.items, "EPSDiluted", "Shares"):
        spoken = ~banks if concept in NOT_OF_FINANCIALS else np.ones(first.shape, np.bool_)
        unit = {"EPSDiluted": "USD/share", "Shares": "shares"}.get(concept, "USD")
        for kind, which, amounts in _told(quotes, accounts, rows, concept, first):
            found = [_vintage(quotes, accounts, rows, first, which=spoken & which, amounts=amounts)]
            if concept in RESTATED:
                later = {kind: values for kind, _, values in _told(quotes, accounts, rows, concept, again)}
                restated = spoken & which & ~np.isnat(again)
                second = later[kind] * revised
                found.append(_vintage(quotes, accounts, rows, again, which=restated, amounts=second, amended="/A"))
            names = {"concept": concept, "period_kind": kind, "unit": unit}
            parts += [frame.with_columns(pl.lit(value).alias(name) for name, value in names.items()) for frame in found]
    return pl.concat(parts)


def _told(
    quotes: Quotes, accounts: Accounts, rows: slice, concept: str, filed: Dates
) -> list[tuple[str, Bools, Floats]]:
    """In which kinds of period a concept is told, of which quarters (n, Q), and its amounts."""
    fiscal = accounts.fiscal[rows]
    every = np.ones(fiscal.shape, np.bool_)
    if concept == "Shares":
        return [("instant", every, _shares(quotes, accounts, rows, filed))]
    if concept not in (*FLOWS, "EPSDiluted"):
        return [("instant", every, accounts.items[concept][rows])]
    flow = accounts.items["NetIncome" if concept == "EPSDiluted" else concept][rows]
    to_date = _to_date(flow, fiscal)
    if concept == "EPSDiluted":
        shares = _shares(quotes, accounts, rows, filed)
        flow, to_date = flow / shares, to_date / shares
    # A year that began before the market did is not told.
    whole = np.arange(fiscal.shape[1]) >= fiscal
    year = ("year", (fiscal == 3) & whole, to_date)
    if concept in CASH_FLOWS:
        later = (fiscal > 0) & (fiscal < 3) & whole
        return [("quarter", fiscal == 0, flow), ("ytd", later, to_date), year]
    return [("quarter", fiscal < 3, flow), year]


def earnings_rows(quotes: Quotes, accounts: Accounts, rows: slice) -> pl.DataFrame:
    """Announced earnings per share beside their estimates; no estimate where no one makes one."""
    reported = accounts.items["NetIncome"][rows] / _shares(quotes, accounts, rows, accounts.announced[rows])
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
    quotes: Quotes, accounts: Accounts, rows: slice, filed: Dates, *, which: Bools, amounts: Floats, amended: str = ""
) -> pl.DataFrame:
    """One amount for each filing (n, Q) that `which` marks and that came while the company was listed."""
    row, quarter, session = _public(quotes, filed, rows, which)
    company = row + rows.start
    annual = accounts.fiscal[company, quarter] == 3
    form = np.where(annual, f"10-K{amended}", f"10-Q{amended}").tolist()
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


def _shares(quotes: Quotes, accounts: Accounts, rows: slice, filed: Dates) -> Floats:
    """(n, Q) shares outstanding as a filing of those days (n, Q) counts them."""
    span, company = quotes.span, np.arange(rows.start, rows.stop)[:, None]
    days = np.where(np.isnat(filed), span.sessions[-1], filed)
    session = np.minimum(span.session_after(days), len(span.sessions)) - 1
    quarter = np.searchsorted(span.starts, session, side="right") - 1
    return accounts.shares[rows, None] * quotes.basis.factor(company, quarter, session)


def _persistent(noise: Floats, share: float) -> Floats:
    """(S, Q) first-order autoregression along quarters, started from its own long-run spread."""
    values = noise.copy()
    values[:, 0] /= np.sqrt(1 - share**2)
    for quarter in range(1, values.shape[1]):
        values[:, quarter] += share * values[:, quarter - 1]
    return values


def _to_date(flow: Floats, fiscal: Positions) -> Floats:
    """(n, Q) sum of the fiscal year's quarters up to each; of those there are where the year began before."""
    total = np.cumsum(flow, axis=1)
    before = np.arange(flow.shape[1]) - fiscal - 1
    earlier = np.take_along_axis(total, np.maximum(before, 0), axis=1)
    return total - np.where(before >= 0, earlier, 0.0)


def _balance_sheets(seed: int, count: int, quarters: int) -> tuple[Positions, Floats]:
    """(S,) how many quarters before January the fiscal year begins, and (2, S, Q) current shares of assets and
    liabilities."""
    begin, noise, level = np.empty(count, np.int64), np.empty((2, count, quarters)), np.empty((2, count))
    for company in range(count):
        rng = stream(seed, Purpose.BALANCE_SHEETS, company)
        begin[company] = rng.integers(1, 4) if rng.random() < OTHER_YEARS else 0
        level[:, company], noise[:, company] = rng.standard_normal(2), rng.standard_normal((2, quarters))
    shares = [0.5 * level[at][:, None] + _persistent(0.04 * noise[at], 0.9) for at in range(2)]
    return begin, 1 / (1 + np.exp(-np.stack([shares[0] - 0.6, shares[1] - 0.4])))


def _surprises(seed: int, count: int, quarters: int) -> Floats:
    values = np.stack([stream(seed, Purpose.SURPRISES, company).standard_normal(quarters) for company in range(count)])
    return np.clip(values, -4.0, 4.0)

"""Splits, dividends and daily bars, made of the price paths."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from alfred.core.contracts import Floats
from alfred.lake.known import known_at_close
from alfred.lake.synthetic.companies import Companies
from alfred.lake.synthetic.prices import Paths
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.synthetic.span import Positions, Purpose, Span, stream

HIGH_QUOTE, LOW_QUOTE = 100.0, 2.0
FALLEN_RATIO = 0.1
"""A reverse split: one new share for ten old ones."""


@dataclass(frozen=True, eq=False)
class ShareBasis:
    """How many shares of today's basis one old share became.

    Attributes:
        split_at: (S, Q) session on which a split takes effect in the quarter; T where there is none.
        ratio: (S, Q) new shares for one old one, 1 where there is no split.
        before: (S, Q) product of the ratios of all earlier quarters.
        total: (S,) product of all ratios.
    """

    split_at: Positions
    ratio: Floats
    before: Floats
    total: Floats

    def factor(self, companies: Positions, quarters: Positions, sessions: Positions) -> Floats:
        """Shares that one share at the market's start had become by each session of each quarter; broadcasts."""
        effective = sessions >= self.split_at[companies, quarters]
        return self.before[companies, quarters] * np.where(effective, self.ratio[companies, quarters], 1.0)


def make_basis(settings: SyntheticSettings, span: Span, companies: Companies, paths: Paths) -> ShareBasis:
    """Decide the splits: names quoted high split by chance, names quoted below 2 USD consolidate ten to one."""
    count, quarters, end = len(companies), span.quarters, len(span.sessions)
    uniform = np.stack(
        [stream(settings.seed, Purpose.SPLITS, company).random((3, quarters)) for company in range(count)], axis=1
    )
    split_at, ratio = np.full((count, quarters), end), np.ones((count, quarters))
    before, factor = np.ones((count, quarters)), np.ones(count)
    chance = 1 - (1 - settings.splits_per_year) ** 0.25
    for quarter in range(1, quarters):
        quote = companies.price * np.exp(paths.log_price[:, span.decisions[quarter - 1]]) / factor
        session = span.starts[quarter] + 5 + (uniform[0, :, quarter] * 40).astype(np.int64)
        drawn = (companies.first < session) & (session <= companies.last) & (uniform[1, :, quarter] < chance)
        up, down = drawn & (quote > HIGH_QUOTE), drawn & (quote < LOW_QUOTE)
        ratio[up, quarter] = np.where(uniform[2, up, quarter] < 0.7, 2.0, 3.0)
        ratio[down, quarter] = FALLEN_RATIO
        split_at[up | down, quarter] = session[up | down]
        before[:, quarter] = factor
        factor = factor * ratio[:, quarter]
    return ShareBasis(split_at, ratio, before, factor)


@dataclass(frozen=True, eq=False)
class Quotes:
    """Everything that the prices of a market follow from."""

    span: Span
    companies: Companies
    paths: Paths
    basis: ShareBasis

    def readjusted(self, rows: slice) -> Floats:
        """(n,) factor on the close of companies' first tickers: nobody adjusts a dead ticker for its heir's splits."""
        renamed, end = self.companies.renamed[rows], len(self.span.sessions)
        last = np.minimum(renamed, end) - 1
        company = np.arange(rows.start, rows.stop)
        quarter = np.searchsorted(self.span.stops, last, side="right")
        return np.where(renamed < end, self.basis.total[rows] / self.basis.factor(company, quarter, last), 1.0)

    def close(self, rows: slice) -> Floats:
        """(n, T) close adjusted for all splits, of the companies `rows`, listed or not."""
        scale = self.companies.price[rows] / self.basis.total[rows]
        return np.exp(self.paths.log_price[rows]) * scale[:, None]


@dataclass(frozen=True, eq=False)
class Dividends:
    """Dividends of n companies: session (n, Q), T where there is none, and amount (n, Q) on the basis of the close."""

    session: Positions
    amount: Floats


def dividends(span: Span, companies: Companies, close: Floats, rows: slice) -> Dividends:
    """Payers pay once a quarter, each on its own day, a fixed share of the close before."""
    company = np.arange(rows.start, rows.stop)
    session = span.starts[None, :] + 10 + (company * 7 % 40)[:, None]
    paid = companies.dividend[rows, None] > 0
    paid = paid & (session > companies.first[rows, None]) & (session <= companies.last[rows, None])
    before = np.take_along_axis(close, session - 1, axis=1)
    amount = np.where(paid, companies.dividend[rows, None] * before, 0.0)
    return Dividends(np.where(paid, session, len(span.sessions)), amount)


def adjusted(close: Floats, paid: Dividends) -> Floats:
    """(n, T) close times (1 - amount / close before) of every later dividend: the total-return price."""
    factor = np.ones((close.shape[0], close.shape[1] + 1))
    row, quarter = np.nonzero(paid.session < close.shape[1])
    session = paid.session[row, quarter]
    factor[row, session] = 1 - paid.amount[row, quarter] / close[row, session - 1]
    # Cumulative from the right; a dividend lowers the sessions before its own.
    np.multiply.accumulate(factor[:, ::-1], axis=1, out=factor[:, ::-1])
    return close * factor[:, 1:]


def bar_rows(seed: int, quotes: Quotes, rows: slice) -> pl.DataFrame:
    """Daily bars of the companies `rows`, for the sessions on which they were listed."""
    span, companies = quotes.span, quotes.companies
    close = quotes.close(rows)
    total = adjusted(close, dividends(span, companies, close, rows))
    drawn = np.stack(
        [
            stream(seed, Purpose.BARS, company).standard_normal((4, close.shape[1]))
            for company in range(rows.start, rows.stop)
        ],
        axis=1,
    )
    daily = companies.volatility[rows, None] * np.sqrt(quotes.paths.regime)
    move = np.diff(np.log(close), axis=1, prepend=np.log(close[:, :1]))
    opened = close * np.exp(-move * 0.6 + 0.3 * daily * drawn[0])
    high = np.maximum(opened, close) * np.exp(0.4 * daily * np.abs(drawn[1]))
    low = np.minimum(opened, close) * np.exp(-0.4 * daily * np.abs(drawn[2]))
    busy = 0.45 * drawn[3] + 0.25 * np.minimum(np.abs(move) / daily, 5)
    # Shares on the basis of the close: trading in USD must not hang on splits that are still to come.
    shares = (companies.volume * quotes.basis.total)[rows, None]
    volume = np.maximum(np.round(shares * np.exp(busy)), 1.0)
    sessions = np.arange(len(span.sessions))
    there = companies.listed(sessions)[rows]
    row, session = np.nonzero(there)
    second = session >= companies.renamed[rows][row]
    names = pl.Series([name for pair in companies.tickers[rows] for name in pair], dtype=pl.String)
    own = np.where(sessions < companies.renamed[rows, None], quotes.readjusted(rows)[:, None], 1.0)
    prices = {"open": opened, "high": high, "low": low, "close": close, "adj_close": total}
    values = {name: matrix * own for name, matrix in prices.items()} | {"volume": volume / own}
    return pl.DataFrame(
        {
            "symbol": names.gather(2 * row + second),
            "date": span.sessions[session],
            **{name: matrix[there] for name, matrix in values.items()},
            "known_at": span.closes.gather(session),
        }
    )


def action_rows(quotes: Quotes, rows: slice) -> pl.DataFrame:
    """Splits, dividends, renames and delistings of the companies `rows`, each known at the close of its own session.

    A delisting is dated on the first session without a bar.
    """
    span, companies, basis = quotes.span, quotes.companies, quotes.basis
    end, offset = len(span.sessions), rows.start
    paid = dividends(span, companies, quotes.close(rows), rows)
    split = np.nonzero(basis.split_at[rows] < end)
    dividend = np.nonzero(paid.session < end)
    before = paid.session[dividend] < companies.renamed[rows][dividend[0]]
    amount = paid.amount[dividend] * np.where(before, quotes.readjusted(rows)[dividend[0]], 1.0)
    renamed = np.flatnonzero(companies.renamed[rows] < end)
    delisted = np.flatnonzero(companies.delisted[rows])
    proceeds = companies.delisting_return[rows][delisted]
    left = companies.last[rows][delisted]
    parts = [
        _actions("split", split[0] + offset, basis.split_at[rows][split], ratio=basis.ratio[rows][split]),
        _actions("dividend", dividend[0] + offset, paid.session[dividend], amount=amount),
        _actions("rename", renamed + offset, companies.renamed[rows][renamed]).with_columns(
            pl.Series("new_symbol", [companies.tickers[at + offset][1] for at in renamed.tolist()], dtype=pl.String)
        ),
        _actions("delisting", delisted + offset, left + 1, delisting_return=proceeds).with_columns(
            pl.Series("reason", np.where(proceeds >= 0, "merger", "bankruptcy").tolist(), dtype=pl.String)
        ),
    ]
    frame = pl.concat(parts, how="diagonal")
    company, session = frame["company"].to_numpy(), frame["session"].to_numpy()
    # On the day of a rename the old ticker acts for the last time, and on that of a delisting the last one.
    acting = np.minimum(session - np.isin(frame["kind"], ["rename", "delisting"]), end - 1)
    dates = pl.Series("date", span.sessions[session])
    return frame.drop("company", "session").with_columns(
        pl.Series("symbol", companies.ticker(company, acting), dtype=pl.String),
        dates,
        known_at_close(dates),
    )


def _actions(kind: str, company: Positions, session: Positions, **values: Floats) -> pl.DataFrame:
    return pl.DataFrame({"company": company, "session": session, **values}).with_columns(pl.lit(kind).alias("kind"))

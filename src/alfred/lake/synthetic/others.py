"""Series of the whole market and the economy, and insiders' trades."""

import datetime as dt

import numpy as np
import polars as pl

from alfred.core.contracts import Floats
from alfred.lake.known import known_next_sessions
from alfred.lake.synthetic.bars import Quotes
from alfred.lake.synthetic.companies import SECTORS, YEAR
from alfred.lake.synthetic.prices import Paths
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.synthetic.span import Purpose, Span, stream

MARKET, FUND = "^MKT", "SPY"
LATE_SERIES = "BTC=F"
"""It begins after half of the market's sessions, as bitcoin did."""
AFTER_THE_CLOSE = dt.timedelta(minutes=1)
ROLES = ("Chief Executive Officer", "Chief Financial Officer", "Director", "10% Owner")
MOST_TRADES = 4


def series_rows(settings: SyntheticSettings, span: Span, paths: Paths) -> pl.DataFrame:
    """The market index, known at its close, and a fund on it and macro series, known a minute later.

    That minute keeps a synthetic value from ever having the key of a real one of the same name.
    """
    sessions = len(span.sessions)
    frames = []
    for name, values in {MARKET: paths.market, FUND: paths.market / 10, **_macro(settings.seed, paths.regime)}.items():
        first = sessions // 2 if name == LATE_SERIES else 0
        known = span.closes if name == MARKET else span.closes + AFTER_THE_CLOSE
        frame = pl.DataFrame({"date": span.sessions[first:], "known_at": known[first:], "value": values[first:]})
        frames.append(frame.with_columns(pl.lit(name).alias("series")))
    return pl.concat(frames)


def insider_rows(settings: SyntheticSettings, quotes: Quotes, rows: slice) -> pl.DataFrame:
    """Trades of insiders of the companies `rows` at the quoted price of the day, filed two days later.

    They carry no signal. Shares and values are those of the day, before later splits.
    """
    span, companies = quotes.span, quotes.companies
    shape = (span.quarters, MOST_TRADES)
    n = rows.stop - rows.start
    there, uniform, size = np.empty((n, *shape), np.bool_), np.empty((n, 3, *shape)), np.empty((n, *shape))
    for at in range(n):
        rng = stream(settings.seed, Purpose.INSIDERS, at + rows.start)
        number = rng.poisson(settings.insider_trades_per_quarter, span.quarters)
        there[at] = np.arange(MOST_TRADES) < number[:, None]
        uniform[at], size[at] = rng.random((3, *shape)), rng.standard_normal(shape)
    length = (span.stops - span.starts)[None, :, None]
    session = span.starts[None, :, None] + (uniform[:, 0] * length).astype(np.int64)
    filed = span.sessions[session] + 2
    usable = span.session_after(filed)
    there &= (session >= companies.first[rows, None, None]) & (usable <= companies.last[rows, None, None])
    row, quarter, trade = np.nonzero(there)
    company, session, filed = row + rows.start, session[row, quarter, trade], filed[row, quarter, trade]
    quote = companies.price[company] * np.exp(quotes.paths.log_price[company, session])
    quote /= quotes.basis.factor(company, quarter, session)
    shares = np.maximum(np.round(np.exp(8 + size[row, quarter, trade])), 1.0)
    buys = uniform[:, 1][row, quarter, trade] < 0.3
    return pl.DataFrame(
        {
            "accession": [f"synthetic-{c}-{q}-{k}" for c, q, k in zip(company, quarter, trade, strict=True)],
            "line": np.ones(len(row), np.int64),
            "symbol": companies.ticker(company, usable[row, quarter, trade]),
            "trade_date": span.sessions[session],
            "role": [ROLES[which] for which in (uniform[:, 2][row, quarter, trade] * len(ROLES)).astype(int).tolist()],
            "acquired_shares": np.where(buys, shares, 0.0),
            "acquired_value": np.where(buys, shares * quote, 0.0),
            "disposed_shares": np.where(buys, 0.0, shares),
            "disposed_value": np.where(buys, 0.0, shares * quote),
            "known_at": known_next_sessions(pl.Series(filed)),
        },
        schema_overrides={"accession": pl.String, "symbol": pl.String, "role": pl.String},
    )


def sector_rows(quotes: Quotes, rows: slice) -> pl.DataFrame:
    """Sectors of the companies `rows`, under each of their tickers known at the close of its first session."""
    span, companies = quotes.span, quotes.companies
    company = np.arange(rows.start, rows.stop)
    renamed = company[companies.renamed[rows] < len(span.sessions)]
    session = np.concatenate([companies.first[rows], companies.renamed[renamed]])
    company = np.concatenate([company, renamed])
    return pl.DataFrame(
        {
            "symbol": companies.ticker(company, session),
            "known_at": span.closes.gather(session),
            "sector": [SECTORS[at] for at in companies.sector[company].tolist()],
        }
    )


def _macro(seed: int, regime: Floats) -> dict[str, Floats]:
    """Mean-reverting yields in per cent, prices in USD as walks, and a VIX that follows the market's volatility."""
    rng = stream(seed, Purpose.MACRO)
    steps = rng.standard_normal((7, len(regime)))
    level = 3 + _reverting(0.06 * steps[0], 3 * YEAR)
    slope = 1.0 + _reverting(0.03 * steps[1], YEAR)
    yields = {
        f"{years}year": np.maximum(level + slope * share, 0.05)
        for years, share in ((2, 0.0), (3, 0.2), (5, 0.5), (10, 1.0))
    }
    oil = 60 * np.exp(_reverting(0.02 * steps[2], 2 * YEAR))
    return {
        "^VIX": 100 * 0.011 * np.sqrt(YEAR) * regime * np.exp(0.05 * steps[3]),
        **yields,
        "CL=F": oil,
        "BZ=F": oil * (1.05 + 0.01 * steps[4]),
        "GC=F": 800 * np.exp(np.cumsum(0.0002 + 0.009 * steps[5])),
        LATE_SERIES: 20 * np.exp(np.cumsum(0.001 + 0.04 * steps[6])),
    }


def _reverting(steps: Floats, sessions: int) -> Floats:
    """(T,) walk pulled back to 0 with that mean life."""
    values = np.empty(len(steps))
    last = 0.0
    for at, step in enumerate(steps):
        last += step - last / sessions
        values[at] = last
    return values

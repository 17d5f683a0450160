"""Companies: what kind each is, when it is listed, and under which ticker."""

from dataclasses import dataclass, replace

import numpy as np

from alfred.core.contracts import Bools, Floats
from alfred.core.errors import ConfigError
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.synthetic.span import Positions, Purpose, Span, active, stream

SECTORS = (
    "Communication", "Discretionary", "Staples", "Energy", "Financials", "Health", "Industrials", "Technology",
    "Materials", "Property", "Utilities",
)  # fmt: skip
FINANCIALS = SECTORS.index("Financials")
YEAR = 252
FEWEST_SESSIONS = 2 * YEAR
"""A company stays listed at least this long."""


@dataclass(frozen=True, eq=False)
class Companies:
    """S companies over T sessions.

    Attributes:
        sector: (S,) position in SECTORS.
        beta: (S,) exposure to the market.
        volatility: (S,) daily standard deviation of own risk in calm times.
        price: (S,) quoted price in USD before the first session.
        volume: (S,) median shares traded a session.
        dividend: (S,) share of the price paid each quarter, 0 for those that pay none.
        first, last: (S,) position of the first and the last session with a bar.
        delisting_return: (S,) from the last close to what holders received; NaN for those listed to the end.
        renamed: (S,) position of the first session under the second ticker; T where there is none.
        tickers: for each company both tickers, the same twice where it keeps one.
    """

    sector: Positions
    beta: Floats
    volatility: Floats
    price: Floats
    volume: Floats
    dividend: Floats
    first: Positions
    last: Positions
    delisting_return: Floats
    renamed: Positions
    tickers: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.sector)

    @property
    def delisted(self) -> Bools:
        """(S,) whether the listing ended before the market did."""
        return np.isfinite(self.delisting_return)

    def line_first(self, sessions: Positions) -> Positions:
        """(S, ...) first session of the ticker in force at `sessions` (S, ...) or (K,)."""
        shape = (-1,) + (1,) * (max(sessions.ndim, 2) - 1)
        renamed = self.renamed.reshape(shape)
        return np.where(sessions >= renamed, renamed, self.first.reshape(shape))

    def listed(self, sessions: Positions) -> Bools:
        """(S, K) whether each company has a bar on each of the sessions (K,)."""
        return active(self.first[:, None], self.last[:, None], sessions[None, :])

    def ticker(self, companies: Positions, sessions: Positions) -> list[str]:
        """The ticker in force for each pair of company and session."""
        second = (sessions >= self.renamed[companies]).astype(np.int64)
        return [self.tickers[company][at] for company, at in zip(companies.tolist(), second.tolist(), strict=True)]


def make_companies(settings: SyntheticSettings, span: Span) -> Companies:
    """Draw all companies.

    Tickers hold digits, which no US listing does, so that a synthetic row can never be taken for a real company's.

    Raises:
        ConfigError: a leak asks for a delisted name and there is none that fits.
    """
    count, end = settings.symbols, len(span.sessions)
    uniform, normal = np.empty((count, 9)), np.empty((count, 5))
    for company in range(count):
        rng = stream(settings.seed, Purpose.COMPANY, company)
        uniform[company], normal[company] = rng.random(9), rng.standard_normal(5)
    later = uniform[:, 0] < settings.listed_later
    latest = max(end - FEWEST_SESSIONS, 1)
    first = np.where(later, (uniform[:, 1] * latest).astype(np.int64), 0)
    life = _lifetime(uniform[:, 2], settings.delistings_per_year)
    last = np.minimum(first + FEWEST_SESSIONS + life, end - 1)
    merged = uniform[:, 3] < 0.6
    proceeds = np.where(merged, 0.3 * uniform[:, 4], -0.4 - 0.6 * uniform[:, 4])
    renamed = first + YEAR + _lifetime(uniform[:, 5], settings.renames_per_year)
    renamed = np.where(renamed < last - YEAR, renamed, end)
    digits = max(4, len(str(2 * count)))
    names = tuple(
        (f"SY{at:0{digits}d}", f"SY{at + (count if renamed[at] < end else 0):0{digits}d}") for at in range(count)
    )
    companies = Companies(
        sector=(uniform[:, 6] * len(SECTORS)).astype(np.int64),
        beta=np.clip(1 + 0.3 * normal[:, 0], 0.2, 2.0),
        volatility=0.016 * np.exp(0.3 * np.clip(normal[:, 1], -2.5, 2.5)),
        price=40 * np.exp(0.7 * np.clip(normal[:, 2], -2.5, 2.5)),
        volume=np.exp(13.5 + 1.2 * normal[:, 3]),
        dividend=np.where(uniform[:, 7] < settings.dividend_payers, 0.002 + 0.008 * uniform[:, 8], 0.0),
        first=first,
        last=last,
        delisting_return=np.where(last < end - 1, proceeds, np.nan),
        renamed=renamed,
        tickers=names,
    )
    return _with_reused_ticker(companies, end) if "reused_ticker" in settings.leaks else companies


def _lifetime(uniform: Floats, rate_per_year: float) -> Positions:
    """Sessions until an event of a constant rate; effectively never for a rate of 0."""
    if rate_per_year == 0:
        return np.full(len(uniform), 10**6)
    years = np.log(1 - uniform) / np.log(1 - rate_per_year)
    sessions: Positions = np.minimum(years * YEAR, 10**6).astype(np.int64)
    return sessions


def reusing(companies: Companies) -> tuple[int, int] | None:
    """A delisted company, and one listed at least a month later that bears its ticker; None where there is none."""
    bearers: dict[str, int] = {}
    for company, names in enumerate(companies.tickers):
        if names[0] in bearers:
            return bearers[names[0]], company
        bearers[names[0]] = company
    return None


def _with_reused_ticker(companies: Companies, end: int) -> Companies:
    free = companies.renamed == end
    for old in np.flatnonzero(companies.delisted & free).tolist():
        heirs = np.flatnonzero((companies.first > companies.last[old] + 21) & free)
        heirs = heirs[heirs > old]
        if len(heirs):
            names = list(companies.tickers)
            names[int(heirs[0])] = names[old]
            return replace(companies, tickers=tuple(names))
    raise ConfigError(
        "the leak reused_ticker needs a company listed after another one's delisting, and this market has none; make "
        "more symbols or years, or raise listed_later and delistings_per_year."
    )

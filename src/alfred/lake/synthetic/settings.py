"""Settings of the synthetic market."""

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from alfred.core.calendar import sessions_between
from alfred.core.settings import Settings

Predictor = Literal["price", "fundamental", "tone"]
Signal = Literal["linear", "nonlinear", "sequential"]
PriceFeature = Literal["momentum_12_1", "Close_diff_MA_90"]
Leak = Literal[
    "facts_at_period_end",
    "macro_filled_backwards",
    "prices_after_delisting",
    "reused_ticker",
    "stale_prices",
    "survivors_only",
    "twin_ticker",
    "unadjusted_split",
    "volume_knows_the_future",
    "zeros_for_missing",
]


class SyntheticSettings(Settings):
    """What kind of market is made. The defaults are those of the provider and of `alfred demo --market synthetic`."""

    seed: int = Field(default=0, ge=0, description="another seed is another market of the same kind")
    symbols: int = Field(default=300, ge=3, le=100_000, description="companies")
    first_year: int = Field(default=1990, ge=1963, description="the market opens on its first session")
    years: int = Field(default=30, ge=2, description="whole calendar years")
    information_coefficient: float = Field(
        default=0.1, ge=-0.5, le=0.5,
        description="expected correlation, across names, of the planted signal with the next quarter's return",
    )  # fmt: skip
    signal: Signal = Field(
        default="linear",
        description="how the predictor works: by its size, by its square, or by its product with that of a year before",
    )
    predictor: Predictor = Field(default="price", description="what the signal is made of")
    price_feature: PriceFeature = Field(
        default="momentum_12_1", description="the panel's column that carries the signal of a price predictor"
    )
    leaks: tuple[Leak, ...] = Field(default=(), description="defects to plant; each is named in the truth")
    splits_per_year: float = Field(
        default=0.5, ge=0, le=1, description="chance a year that a name quoted above 100 USD splits"
    )
    dividend_payers: float = Field(default=0.5, ge=0, le=1, description="share of companies that pay each quarter")
    delistings_per_year: float = Field(default=0.03, ge=0, le=0.5, description="chance a year that a name is delisted")
    renames_per_year: float = Field(default=0.005, ge=0, le=0.5, description="chance a year of another ticker")
    listed_later: float = Field(
        default=0.25, ge=0, le=1, description="share of companies that are listed after the market's first session"
    )
    restatements: float = Field(default=0.03, ge=0, le=1, description="share of filings that are restated later")
    articles_per_quarter: float = Field(default=2.0, ge=0, le=5, description="mean number of articles on a company")
    insider_trades_per_quarter: float = Field(default=1.0, ge=0, le=3, description="mean number of trades")

    @model_validator(mode="after")
    def _within_the_calendar(self) -> Self:
        end = self.first_year + self.years
        if not len(sessions_between(np.datetime64(f"{end}-01-01"), np.datetime64(f"{end}-01-31"))):
            raise ValueError(
                f"{self.years} years from {self.first_year} reach {end - 1}, beyond the trading calendar; "
                "begin earlier or make fewer years"
            )
        return self

    @model_validator(mode="after")
    def _leaks_that_can_be_planted(self) -> Self:
        if len(set(self.leaks)) != len(self.leaks):
            raise ValueError("a leak is named twice")
        needs = {
            "prices_after_delisting": "delistings_per_year",
            "reused_ticker": "delistings_per_year",
            "unadjusted_split": "splits_per_year",
        }
        for leak, rate in needs.items():
            if leak in self.leaks and getattr(self, rate) == 0:
                raise ValueError(f"the leak {leak} needs {rate} above 0")
        if "survivors_only" in self.leaks and {"prices_after_delisting", "reused_ticker"} & set(self.leaks):
            raise ValueError("survivors_only leaves no delisted name that another leak could use; choose one of them")
        return self

"""What a provider says about its data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ProviderDescription:
    """What a user of the data must be told.

    Attributes:
        tables: tables of the lake that it fills.
        note: one or two sentences on what it is and what it lacks.
        survivors_only: its names were chosen with knowledge of who survived.
        levels_know_the_future: its prices were adjusted backwards and the adjustments are not at hand, so that an
            early price level reveals later splits and dividends. Ratios are unaffected.
        market_series: name in the table `series` of the index that excess returns and beta refer to.
    """

    name: str
    tables: tuple[str, ...]
    note: str
    survivors_only: bool
    levels_know_the_future: bool
    market_series: str

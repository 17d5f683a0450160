"""Settings of the backtest: what trading costs, and when a decision is filled."""

from pydantic import Field

from alfred.core.settings import Settings

SESSIONS_PER_YEAR = 252
"""Trading sessions of a year, by convention."""


class CostSettings(Settings):
    """What trading and short selling cost.

    Attributes:
        cost_bps: basis points of traded value, one way (commission, half spread and impact together).
        borrow_bps_per_year: basis points a year of the value sold short, accrued every session (a 252nd).
    """

    cost_bps: float = Field(default=10.0, ge=0.0, le=5000.0)
    borrow_bps_per_year: float = Field(default=50.0, ge=0.0, le=50_000.0)


class ExecutionSettings(Settings):
    """When a decision is filled.

    Attributes:
        lag_sessions: sessions from the decision's close to the close it is filled at. 1 is the next session's close;
            0 is the notes' convention, which fills at the very close that was just used to decide.
    """

    lag_sessions: int = Field(default=1, ge=0, le=60)

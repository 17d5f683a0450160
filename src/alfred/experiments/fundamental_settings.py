"""Settings of the analysts of accounts."""

from typing import Literal

from pydantic import Field, field_validator

from alfred.analysts import AnalystSpec, make_analyst
from alfred.core.contracts import GROWTH_AHEAD
from alfred.core.settings import Settings
from alfred.training.settings import TrainSettings

Target = Literal[
    "next_revenue_growth", "next_Margin_Gross", "next_Margin_Operating", "next_Margin_Net_Profit", "next_EPS_change"
]
TARGETS: tuple[Target, ...] = (
    "next_revenue_growth", "next_Margin_Gross", "next_Margin_Operating", "next_Margin_Net_Profit", "next_EPS_change",
)  # fmt: skip


class FundamentalSettings(Settings):
    """What `alfred fundamentals` forecasts; random walk, seasonal naive and the mean change always stand beside."""

    targets: tuple[Target, ...] = Field(default=TARGETS, min_length=1, description="labels of accounts")
    horizons: tuple[int, ...] = Field(default=(1, 4), min_length=1, description="quarters ahead, each from 1 to 4")
    analysts: tuple[AnalystSpec, ...] = Field(
        default=(AnalystSpec(name="ridge"), AnalystSpec(name="lightgbm")),
        min_length=1,
        description="who forecasts; the label is given by the targets",
    )

    features: tuple[str, ...] = Field(
        default=(), description="columns of the panel to learn from; default those of filings and announcements"
    )

    @field_validator("targets", "horizons")
    @classmethod
    def _distinct(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(value)) != len(value):
            raise ValueError("one is named twice")
        return value

    @field_validator("horizons")
    @classmethod
    def _within(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not all(1 <= horizon <= 4 for horizon in value):
            raise ValueError(f"accounts are forecast 1 to 4 quarters ahead, got {value}")
        return value

    @field_validator("analysts")
    @classmethod
    def _able(cls, value: tuple[AnalystSpec, ...]) -> tuple[AnalystSpec, ...]:
        for spec in value:
            if spec.label is not None:
                raise ValueError(f"{spec.name} is given the label {spec.label}; the targets are its labels, remove it")
            make_analyst(spec.model_copy(update={"label": GROWTH_AHEAD}), TrainSettings(), seed=0)
        if len({spec.model_dump_json() for spec in value}) != len(value):
            raise ValueError("an analyst is named twice")
        return value

"""Settings of the panel."""

from pydantic import Field

from alfred.core.settings import Settings
from alfred.panel.catalogue import Scaling
from alfred.panel.cross_section import CrossSection
from alfred.panel.labels import LabelSettings
from alfred.panel.sources import ArticleSettings, FillDays


class PanelSettings(Settings):
    """Which columns the panel holds and how they are prepared."""

    features: tuple[str, ...] = Field(
        default=("*",), description="columns to use: names or patterns such as Close_diff_*"
    )
    exclude: tuple[str, ...] = Field(default=(), description="columns to leave out: names or patterns")
    horizon_quarters: int = Field(default=1, ge=1, description="quarters from the decision date to the label's date")
    stale_sessions: int = Field(
        default=5, ge=0, le=100_000, description="a last price older than this many sessions is no price"
    )
    labels: LabelSettings = LabelSettings()
    fill_days: FillDays = FillDays()
    digester: str = Field(default="", description="whose digests of articles count; needed where there are several")
    articles: ArticleSettings = ArticleSettings()
    filings_digester: str = Field(
        default="", description="whose digests of filings count, such as research-lexicon; needed where several"
    )
    members: str = Field(
        default="", description="index whose members of each date are the universe, such as sp500; default all names"
    )
    required: tuple[str, ...] = Field(
        default=(), description="columns or patterns without which a name does not count on a date; default none"
    )
    cross_section: dict[str, CrossSection] = Field(
        default={}, description="columns or patterns that count by rank or z-score among the names of a date"
    )
    scaling: dict[str, Scaling] = Field(
        default={}, description="rules by column or pattern, over those of the catalogue"
    )
    scaled_bound: float = Field(
        default=100.0, gt=0, description="a scaled training value beyond this many deviations is an error"
    )
    clip: float = Field(
        default=5.0, gt=0, allow_inf_nan=False, description="scaled values are cut off at this many deviations"
    )

"""A study: one TOML file that says what to find out, and how."""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import tomli_w
from pydantic import Field, field_validator, model_validator

from alfred.analysts import AnalystSpec, describe, make_analyst
from alfred.backtest.run import STRATEGIES
from alfred.backtest.settings import REALISTIC, CostSettings, ExecutionSettings, FrictionSettings, LimitSettings
from alfred.core.calendar import IsoDate, day
from alfred.core.contracts import DIRECTION, FUNDAMENTALS
from alfred.core.digest import digest_of
from alfred.core.errors import ConfigError
from alfred.core.plugins import plugin, plugin_names
from alfred.core.settings import Seed, Settings, suggestion
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.evaluation.protocols import DEFAULT_PROTOCOL, OTHER_TICKERS, SEALED, check_baskets, question
from alfred.evaluation.splits import SplitSettings
from alfred.experiments.fundamental_settings import FundamentalSettings
from alfred.lake.ingest import PROVIDERS
from alfred.lake.symbols import INDEXES
from alfred.manager.settings import ManagerSettings
from alfred.panel.settings import PanelSettings
from alfred.training.settings import TrainSettings
from alfred.universe.baskets import Baskets

NAIVE = "naive"
"""The forecast that every other stands beside."""


class DataSettings(Settings):
    """Where prices come from and which span of them is used."""

    provider: str = Field(default="sample", description="a provider of `alfred doctor`")
    since: IsoDate | None = Field(default=None, description="first session, such as 1990-01-02; default the data's own")
    until: IsoDate | None = Field(default=None, description="last session; nothing that became known later is read")

    market_series: str = Field(
        default="",
        description="series that excess returns, beta and the index account refer to; default the provider's",
    )

    @field_validator("provider")
    @classmethod
    def _known(cls, value: str) -> str:
        if value.replace("-", "_") not in plugin_names(PROVIDERS):
            raise ValueError(f"there is no provider {value!r}; {suggestion(value, plugin_names(PROVIDERS))}")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        dates = [day(text) for text in (self.since, self.until) if text is not None]
        if dates != sorted(dates):
            raise ValueError(f"since {self.since} lies after until {self.until}; the range is empty")
        return self


class ScanSettings(Settings):
    """Two disjoint baskets of least-correlated names, chosen with what was known on a date."""

    training_start: str = Field(description="first name of the training basket")
    evaluation_start: str = Field(description="first name of the evaluation basket")
    n: int = Field(default=10, ge=1, description="names in each basket")
    as_of: IsoDate = Field(description="day of the choice; must lie before the first test quarter")


class NamesSettings(Settings):
    """All names of a list, in two disjoint baskets; a name's basket follows from a digest of the name alone."""

    list: str = Field(
        default="*", description="AAPL,MSFT or @file.txt (one a line) or @sp500, @nasdaq100, @dow; * is all with prices"
    )
    as_of: IsoDate | None = Field(
        default=None,
        description="day of an index's membership, before the test for honest names; default the data's last",
    )
    evaluation_share: float = Field(
        default=0.5, ge=0, lt=1, description="share of the names to test on; 0 tests the training names in later years"
    )
    seed: int = Field(default=0, ge=0, description="another one splits the names otherwise")


class UniverseSettings(Settings):
    """The baskets, in one of four ways: listed, in a file, by a scan, or a whole list in two parts.

    Without an evaluation basket the training names are tested in later years, which answers another question.
    """

    training: tuple[str, ...] = Field(default=(), description="symbols to train on")
    evaluation: tuple[str, ...] = Field(default=(), description="symbols to test on")
    baskets: Path | None = Field(
        default=None, description="a file as `alfred scan --save` writes it, relative to the study"
    )
    scan: ScanSettings | None = Field(default=None, description="choose the baskets by the scanner")
    names: NamesSettings | None = Field(default=None, description="a whole list of names, split in two")
    protocol: str = Field(default=DEFAULT_PROTOCOL, description="the question the evaluation answers")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        question(self.protocol)
        if self.protocol == SEALED:
            raise ValueError("sealed is no study's protocol; `alfred unseal` asks any study's question of the vault")
        ways = [name for name in ("training", "baskets", "scan", "names") if getattr(self, name)]
        if len(ways) != 1:
            got = " and ".join(ways) or "none of them"
            raise ValueError(f"give the names by exactly one of training, baskets, scan or names, got {got}")
        if self.evaluation and not self.training:
            raise ValueError(f"evaluation names go with training names; the {ways[0]} brings its own evaluation basket")
        if self.scan is not None and self.protocol not in OTHER_TICKERS:
            raise ValueError(f"a scan chooses two disjoint baskets; for {self.protocol} name the training basket")
        if self.training:
            baskets = self.fit(Baskets(self.training, self.evaluation))
            check_baskets(baskets.training, baskets.evaluation, self.protocol)
        return self

    def fit(self, baskets: Baskets) -> Baskets:
        """The baskets as the protocol uses them: without an evaluation basket it may test the training names."""
        same = not baskets.evaluation and self.protocol not in OTHER_TICKERS
        return replace(baskets, evaluation=baskets.training) if same else baskets


class BacktestSettings(Settings):
    """Which strategies trade on which forecasts, and what trading costs.

    With frictions, which replace `costs`, or with limits, accounts run in `backtest.realistic`.
    """

    strategies: tuple[str, ...] = Field(
        default=("simple", "nuanced", "magnitude-choice"), description="rules of the notes"
    )
    costs: CostSettings = CostSettings()
    frictions: FrictionSettings | None = Field(
        default=None, description='costs by name, size and liquidity in place of costs; "realistic" takes all of them'
    )
    limits: LimitSettings | None = Field(default=None, description="what weights may be, before every trade")
    execution: ExecutionSettings = ExecutionSettings()

    @field_validator("frictions", mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        if isinstance(value, str):
            if value != "realistic":
                raise ValueError(f'frictions are a table of settings, or "realistic", got {value!r}')
            return REALISTIC
        return value

    @field_validator("strategies")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(name.replace("_", "-") for name in value)
        for name in names:
            plugin(STRATEGIES, name)
            if names.count(name) > 1:
                raise ValueError(f"the strategy {name} is named twice")
        return names


class Study(Settings):
    """Everything that determines a run's results."""

    name: str = Field(default="study", pattern=r"^[a-z0-9][a-z0-9_-]*$", description="names the run's folder")
    family: str = Field(
        default="",
        pattern=r"^([a-z0-9][a-z0-9_-]*)?$",
        description="studies that are tries at one question share it, and are counted together; default the name",
    )
    vault_quarters: int = Field(
        default=0, ge=0, description="last quarters that nobody sees before `alfred unseal`; 0 seals none"
    )
    seeds: tuple[Seed, ...] = Field(
        default=(0, 1, 2), min_length=1, description="one training of every network for each"
    )
    data: DataSettings = DataSettings()
    universe: UniverseSettings
    panel: PanelSettings = PanelSettings()
    splits: SplitSettings = SplitSettings()
    train: TrainSettings = TrainSettings()
    analysts: tuple[AnalystSpec, ...] = Field(
        min_length=1, description="who forecasts; the naive forecast always stands beside them"
    )
    fundamentals: FundamentalSettings = FundamentalSettings()
    evaluation: BootstrapSettings = BootstrapSettings()
    backtest: BacktestSettings = BacktestSettings()
    manager: ManagerSettings = ManagerSettings()

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a seed is named twice; results of one seed would count double")
        return value

    @field_validator("analysts")
    @classmethod
    def _known(cls, value: tuple[AnalystSpec, ...]) -> tuple[AnalystSpec, ...]:
        for spec in value:
            make_analyst(spec, TrainSettings(), seed=0)
            if spec.label in FUNDAMENTALS:
                raise ValueError(f"{spec.name} is to forecast {spec.label}; name such analysts under [fundamentals]")
        names = [entry_name(spec) for spec in value]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"{repeated} is named twice; a study tells its analysts apart by name and options")
        return value

    @model_validator(mode="after")
    def _scan_before_test(self) -> Self:
        scan, first = self.universe.scan, self.splits.test_first
        if scan is not None and (first is None or day(scan.as_of) >= day(first)):
            raise ValueError(
                f"universe.scan.as_of {scan.as_of} must lie before splits.test_first "
                f"({first or 'not given'}); a basket chosen with later prices knows the test period"
            )
        return self

    @property
    def counted_as(self) -> str:
        """The family whose trials it counts towards."""
        return self.family or self.name

    def toml(self) -> str:
        """The study with every default written out."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))


def target_of(spec: AnalystSpec) -> str:
    """The label that a study's analyst forecasts."""
    return spec.label or describe(spec.name).target


def judged_loss(spec: AnalystSpec) -> str:
    """The loss in which its forecasts are judged: what it trains on, and cross-entropy for a direction.

    A Gaussian head's point forecasts are judged by the squared error.
    """
    loss = "bce" if target_of(spec) == DIRECTION else spec.loss or describe(spec.name).loss
    return "mse" if loss == "gaussian" else loss


def quarters_of(spec: AnalystSpec) -> int:
    """Quarters of history in the windows that a study's analyst is given."""
    own = spec.quarters or describe(spec.name).quarters
    asked = [member.quarters or spec.quarters or describe(member.name).quarters for member in spec.members or ()]
    return max([own, *asked])


def entry_name(spec: AnalystSpec) -> str:
    """What a study's analyst is called in results: its name, and after a colon all in which it differs from its preset.

    `lstm.medium.extractors.tanh:excess-quarters24-size64`; `ensemble.mean:3of9c01d2` has three members of its own, of
    whose names and options the digits are a digest.
    """
    about = describe(spec.name)
    parts = [] if spec.label in {None, about.target} else [str(spec.label)]
    for option, default in about.options.items():
        value = getattr(spec, option)
        if value not in {None, default}:
            parts.append(str(value) if isinstance(value, str) else f"{option}{value}")
    if spec.untrained:
        parts.append("untrained")
    if spec.members is not None:
        names = sorted(entry_name(member) for member in spec.members)
        parts.append(f"{len(names)}of{digest_of(names)[:6]}")
    if spec.member_seeds is not None:
        parts.append(f"seeds{spec.member_seeds}")
    return ":".join([spec.name, *(["-".join(parts)] if parts else [])])


def family(entry: str) -> str:
    """The analyst's name in an entry's name."""
    return entry.partition(":")[0]


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Read a study.

    Args:
        path: the TOML file.
        overrides: settings over those of the file, such as "train.epochs=3"; values are TOML.

    Raises:
        ConfigError: the file is absent or no TOML, or a setting is unknown or wrong; every problem is named.
    """
    try:
        form = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no study {path}; `alfred init {path}` writes one to start from.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from error
    for override in overrides:
        apply_override(form, override)
    baskets = form.get("universe", {}).get("baskets") if isinstance(form.get("universe"), dict) else None
    if isinstance(baskets, str):
        form["universe"]["baskets"] = str((path.parent / baskets).resolve())
    names = form.get("universe", {}).get("names") if isinstance(form.get("universe"), dict) else None
    if isinstance(names, dict) and isinstance(names.get("list"), str):
        names["list"] = _beside(path.parent, names["list"])
    return Study.parse(form, path.name)


def apply_override(form: dict[str, Any], override: str) -> None:
    """Set one key of a study's form, such as "train.epochs=3".

    Raises:
        ConfigError: it is not of that kind.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes section.key=value, such as train.epochs=3, got {override!r}.")
    *sections, last = key.strip().split(".")
    for section in sections:
        form = form.setdefault(section, {})
        if not isinstance(form, dict):
            raise ConfigError(f"--set {override!r}: {section!r} is no section.")
    try:
        form[last] = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        form[last] = text.strip()


def _beside(folder: Path, names: str) -> str:
    """A list of names in which files are given from the study's folder."""
    parts = [part.strip() for part in names.split(",")]
    return ",".join(
        f"@{(folder / part[1:]).resolve()}" if part.startswith("@") and part[1:].lower() not in INDEXES else part
        for part in parts
    )


def _without_none(value: Any) -> Any:
    """TOML has no null: an absent key means the default."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_none(inner) for inner in value]
    return value

"""A sweep: one TOML file that says which configurations of a study to try, and what the best is chosen by."""

import copy
import tomllib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from alfred.core.digest import code_digest, digest_of
from alfred.core.errors import ConfigError
from alfred.core.settings import Settings
from alfred.evaluation.protocols import SAME_YEARS
from alfred.experiments.study import NAIVE, Study, apply_override, judged_loss, load_study, target_of

ANALYST = "analyst."
FALLS = ("loss",)
"""Objectives of which less is better."""

Objective = Literal["rank_ic", "accuracy", "loss"]
Choices = tuple[Any, ...]


class Range(Settings):
    """Numbers between two ends, both of them included.

    Attributes:
        low, high: the ends; whole numbers where both are written as such.
        step: distance of the numbers to choose among; a grid needs it.
        log: whether to draw by the logarithm, as for learning rates.
    """

    low: int | float
    high: int | float
    step: int | float | None = Field(default=None, gt=0)
    log: bool = False

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low must lie below high, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithm needs a low above 0, got {self.low}")
        if self.log and self.step is not None:
            raise ValueError("give step or log, not both")
        return self

    @property
    def whole(self) -> bool:
        """Whether it is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int) and isinstance(self.step or 1, int)

    def points(self) -> Choices:
        """Every number, where a step says which."""
        if self.step is None:
            raise ConfigError(
                f"a grid needs every value by name, but got the range {self.low} to {self.high}; list the values, give "
                'the range a step, or take method = "random" or "tpe".'
            )
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(self.low + at * self.step for at in range(count))


Dimension = Choices | Range


class PruningSettings(Settings):
    """When to give up a configuration before all of its fits are made.

    After every fit (a fold and a seed) the mean of the objective over the fits so far is compared with that of the
    other configurations after as many fits.

    Attributes:
        method: "none"; "asha", by which of those that got so far the better part goes on; or "median", by which whoever
            is worse than the median of the others stops.
        after: fits that every configuration gets.
        factor: with "asha" one in so many goes on, after `after` fits, `after` x `factor`, and so forth.
        startup: with "median", configurations that must be finished before any is stopped.
    """

    method: Literal["none", "asha", "median"] = "none"
    after: int = Field(default=1, ge=1)
    factor: int = Field(default=2, ge=2)
    startup: int = Field(default=4, ge=1)


class WorkerSettings(Settings):
    """Who does the work; nothing of this changes what is tried.

    Attributes:
        number: processes on this machine; default one a core, or one an accelerator where there is one.
        threads: of each; default the cores divided by the processes.
        gpus: share of an accelerator that each takes; 0.5 puts two on one. Default 1 where there is one, otherwise 0.
        attempts: a configuration during which so many workers died has failed.
        lease_seconds: a worker that was not heard of for so long is taken to be dead.
        patience_minutes: how long to wait for a database or tracking server that does not answer.
    """

    number: int | None = Field(default=None, ge=1)
    threads: int | None = Field(default=None, ge=1, le=1_024)
    gpus: float | None = Field(default=None, ge=0, le=64, allow_inf_nan=False)
    attempts: int = Field(default=5, ge=1)
    lease_seconds: float = Field(default=60.0, ge=1)
    patience_minutes: float = Field(default=15.0, gt=0)


class Sweep(Settings):
    """Configurations of a study, and how the best of them is found and judged.

    Attributes:
        name: of the sweep.
        study: the base, with all its settings; it names one analyst.
        method: "grid" tries all, "random" draws, "tpe" draws near what was good (Bergstra et al. 2011).
        trials: configurations to try; a grid needs none.
        seed: of the draws.
        objective: figure of the validation rows, mean over quarters, then over folds and seeds.
        folds: validation periods, one after the other, all before the first test quarter.
        space: what to vary, by the setting's dotted name; where there are several, a configuration is of one of them.
        pruning, workers: see there.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    study: dict[str, Any]
    method: Literal["grid", "random", "tpe"] = "grid"
    trials: int | None = Field(default=None, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0)
    objective: Objective = "rank_ic"
    folds: int = Field(default=1, ge=1, le=40)
    space: tuple[dict[str, Dimension], ...] = Field(min_length=1)
    pruning: PruningSettings = PruningSettings()
    workers: WorkerSettings = WorkerSettings()

    @field_validator("space", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return [value] if isinstance(value, Mapping) else value

    @field_validator("space")
    @classmethod
    def _something_to_vary(cls, value: tuple[dict[str, Dimension], ...]) -> tuple[dict[str, Dimension], ...]:
        for part in value:
            for name, dimension in part.items():
                if name.partition(".")[0] in {"name", "family", "vault_quarters", "evaluation", "backtest"}:
                    raise ValueError(f"{name} does not change what is learnt, so a sweep cannot choose it")
                if isinstance(dimension, tuple) and not dimension:
                    raise ValueError(f"{name} has no value to choose")
        return value

    @model_validator(mode="after")
    def _has_a_budget(self) -> Self:
        if self.method != "grid" and self.trials is None:
            raise ValueError(f'method = "{self.method}" needs trials, the number of configurations to try')
        return self

    @cached_property
    def identity(self) -> str:
        """Names the sweep in the shared storage: what is tried, and by which code; not by whom."""
        form = self.model_dump(mode="json", exclude={"workers"})
        return digest_of(form, code_digest())[:16]

    @property
    def rises(self) -> bool:
        """Whether more of the objective is better."""
        return self.objective not in FALLS

    @property
    def base(self) -> Study:
        """The study that configurations are made from."""
        return Study.parse(self.study, f"the study of the sweep {self.name}")

    def configured(self, values: Mapping[str, Any]) -> Study:
        """The study of one configuration.

        Args:
            values: by the settings' dotted names; those that begin with "analyst." are the one analyst's own.

        Raises:
            ConfigError: a setting is unknown, or its value is not usable.
        """
        form = copy.deepcopy(self.study)
        for name, value in values.items():
            _set(form, name, value)
        told = ", ".join(f"{name} = {value}" for name, value in values.items())
        study = Study.parse(form, f"sweep {self.name}, {told}")
        specs = [spec for spec in study.analysts if spec.name != NAIVE]
        if len(specs) != 1:
            raise ConfigError(
                f"a configuration of a sweep is one analyst, but the study has {len(specs)}; leave one, and name the "
                'others in the space: "analyst.name" = [...].'
            )
        if study.universe.protocol in SAME_YEARS:
            raise ConfigError(
                f"a sweep cannot choose by quarters before the test, since the protocol {study.universe.protocol} "
                "tests the quarters that were trained on; take a protocol of other years."
            )
        return study

    def judged_in(self, study: Study) -> tuple[str, str]:
        """The label and the loss in which a configuration's objective is measured."""
        spec = next(spec for spec in study.analysts if spec.name != NAIVE)
        return target_of(spec), judged_loss(spec)


def _set(form: dict[str, Any], name: str, value: Any) -> None:
    path = ["analysts", "0", name.removeprefix(ANALYST)] if name.startswith(ANALYST) else name.split(".")
    place: Any = form
    for at, part in enumerate(path):
        inner: Any = int(part) if isinstance(place, list) and part.isdigit() else part
        if isinstance(place, list) and not (isinstance(inner, int) and inner < len(place)):
            raise ConfigError(f"the space names {name!r}, but {'.'.join(path[:at])} has no {part!r}.")
        if at == len(path) - 1:
            place[inner] = value
            return
        place = place[inner] if isinstance(place, list) else place.setdefault(inner, {})
        if not isinstance(place, dict | list):
            raise ConfigError(f"the space names {name!r}, but {'.'.join(path[: at + 1])} is no section.")


def load_sweep(path: Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read a sweep; its `study` is a table, or the path of a study's file relative to the sweep's.

    Args:
        path: the TOML file.
        overrides: settings over those of the file, such as "trials=50" or "workers.number=4".

    Raises:
        ConfigError: the file is absent or no TOML, or a setting of sweep or study is unknown or wrong.
    """
    try:
        form = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no sweep {path}; `alfred init {path} --study sweep` writes one to start from."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from error
    for override in overrides:
        apply_override(form, override)
    base = form.get("study")
    if isinstance(base, str):
        study = load_study((path.parent / base).resolve())
    elif isinstance(base, dict):
        baskets = base.get("universe", {}).get("baskets") if isinstance(base.get("universe"), dict) else None
        if isinstance(baskets, str):
            base["universe"]["baskets"] = str((path.parent / baskets).resolve())
        study = Study.parse({"name": form.get("name", "sweep"), **base}, f"{path.name}, [study]")
    else:
        raise ConfigError(
            f'{path.name}: a sweep needs a base; write study = "study.toml" or a table [study], got {base!r}.'
        )
    return Sweep.parse({**form, "study": study.model_dump(mode="json")}, path.name)

"""Managers over a run: every policy decides the same dates, learning only from what lies before them.

A policy that learns is fitted on the decisions before the one to come, from the first `first_periods` on, and again
after every `refit_periods`; whoever was fitted last decides. There is one account a seed, from all in cash to the end,
and a new fit takes it over as it stands. Rules decide the same dates. Fits and accounts are stages (`Stages`).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from alfred.core.calendar import Dates
from alfred.core.contracts import Floats
from alfred.core.digest import digest_of
from alfred.core.errors import DataError
from alfred.core.plugins import plugin
from alfred.core.progress import Progress, Silent
from alfred.experiments.scene_columns import QUARTER
from alfred.experiments.stages import Stages
from alfred.manager.contracts import FittedPolicy, Observation, Policy, PolicyDescription, Scene
from alfred.manager.judgement import BENCHMARK
from alfred.manager.run import run_policy
from alfred.manager.settings import POLICIES, ManagerSettings
from alfred.manager.tracks import Track, load_track, track_of


@dataclass(frozen=True)
class Succession:
    """Fitted policies, each of which decides from its first date on until the next one's.

    Attributes:
        since: (K,) their first decision dates, ascending.
        policies: K of them.
    """

    since: Dates
    policies: tuple[FittedPolicy, ...]

    def weights(self, observation: Observation) -> Floats:
        """(S,) what the policy in office wants."""
        return self.policies[int(np.searchsorted(self.since, observation.date, side="right")) - 1].weights(observation)

    def save(self, folder: Path) -> None:
        """Each in a folder of its own."""
        for at, policy in enumerate(self.policies):
            policy.save(folder / str(at))


@dataclass(frozen=True)
class Managing:
    """Policies over one scene.

    Attributes:
        scene: all decisions, those that are only learnt from among them.
        settings: of the manager.
        stages: where finished fits and accounts are kept.
        progress: hears of them.
        past: what policies learn from, where that is not `scene` itself but one of the same dates and names.
    """

    scene: Scene
    settings: ManagerSettings
    stages: Stages
    progress: Progress
    past: Scene | None = None

    def __post_init__(self) -> None:
        first, decisions = self.settings.first_periods, len(self.scene)
        if decisions - first < 2:
            raise DataError(
                f"the run has {decisions} decisions, of which first_periods keeps {first} to learn from; at least 2 "
                "must be left to decide. Lower manager.first_periods or test more quarters."
            )

    @property
    def judged(self) -> Scene:
        """The decisions of the manager's own, with all bars before them."""
        return self.scene.span(self.settings.first_periods, len(self.scene))

    @property
    def policies(self) -> dict[str, PolicyDescription]:
        """Who decides, 1/N in any case."""
        names = dict.fromkeys((BENCHMARK, *self.settings.policies))
        return {name: _policy(name).DESCRIPTION for name in names}

    def tracks(self, policy: str) -> tuple[Track, ...]:
        """A policy's accounts, one for each seed where it learns."""
        seeds = self.settings.seeds if _policy(policy).DESCRIPTION.learns else self.settings.seeds[:1]
        self.progress.start(policy, len(seeds))
        found = []
        for seed in seeds:
            track, resumed = self._track(policy, seed)
            self.progress.advance(policy, note="taken up from before" if resumed else f"seed {seed}")
            found.append(track)
        self.progress.finish(policy)
        return tuple(found)

    def fitted(self, policy: str, seed: int) -> Succession:
        """The fits of one policy with one seed, each made of the decisions before its own."""
        decisions, first = len(self.scene), self.settings.first_periods
        learns = _policy(policy).DESCRIPTION.learns
        starts = list(range(first, decisions, self.settings.refit_periods)) if learns else [first]
        fits = tuple(self._fit(policy, seed, start) for start in starts)
        return Succession(self.scene.dates[starts], fits)

    def _track(self, policy: str, seed: int) -> tuple[Track, bool]:
        return self.stages.run(
            f"manager-account-{policy}",
            {
                "scene": digest_of_scene(self.scene),
                "past": "" if self.past is None else digest_of_scene(self.past),
                "settings": self._settings(),
                "policy": policy,
                "seed": seed,
            },
            lambda folder: track_of(self.judged, run_policy(self.judged, self.fitted(policy, seed))).save(folder),
            load_track,
        )

    def _fit(self, policy: str, seed: int, start: int) -> FittedPolicy:
        module = _policy(policy)
        if not module.DESCRIPTION.learns:
            return module.fit(self._before(start), self.settings, seed, self.progress)
        before = self._before(start)
        settings = {
            name: value for name, value in self._settings().items() if name not in {"first_periods", "refit_periods"}
        }
        fitted, resumed = self.stages.run(
            f"manager-fit-{policy}",
            {"scene": digest_of_scene(before), "settings": settings, "policy": policy, "seed": seed},
            lambda folder: module.fit(before, self.settings, seed, Silent()).save(folder),
            module.restore,
        )
        if not resumed:
            self.progress.say(
                f"{policy}, seed {seed}: learnt from the {start} decisions before {self.scene.dates[start]}"
            )
        return fitted

    def _before(self, stop: int) -> Scene:
        return (self.past or self.scene).before(stop)

    def _settings(self) -> dict[str, Any]:
        return self.settings.model_dump(mode="json", exclude={"policies", "seeds", "analysts"})


def liquid(scene: Scene) -> Scene | None:
    """The scene with the names of each decision that had the upper half of dollar volumes in the quarter before.

    None where volume is not known.
    """
    traded = scene.reality.conditions.dollar_volume
    if traded is None:
        return None
    of_quarter = [np.nan_to_num(traded[max(row + 1 - QUARTER, 0) : row + 1]).mean(axis=0) for row in scene.decided]
    volume = np.where(scene.mask, np.array(of_quarter), np.nan)
    middle = np.array(
        [np.median(row[may]) if may.any() else np.inf for row, may in zip(volume, scene.mask, strict=True)]
    )
    return replace(scene, mask=scene.mask & (np.nan_to_num(volume, nan=-np.inf) >= middle[:, None]))


def digest_of_scene(scene: Scene) -> str:
    """Digest of everything that a policy may learn from or an account meets."""
    conditions, outlook = scene.reality.conditions, scene.outlook
    tables = [part for part in vars(conditions).values() if part is not None]
    return digest_of(
        scene.dates.astype(np.int64), scene.decided, scene.rows, scene.bars.dates.astype(np.int64),
        list(scene.bars.symbols), scene.bars.close, scene.bars.total, scene.mask, list(scene.columns), scene.observed,
        list(scene.market_columns), scene.market, outlook.mean, outlook.lower, outlook.upper, outlook.prob_up,
        outlook.level, [name for name, part in vars(conditions).items() if part is not None], *tables,
        scene.reality.frictions.model_dump(mode="json"), scene.reality.limits.model_dump(mode="json"),
    )  # fmt: skip


def _policy(name: str) -> Policy:
    return cast("Policy", plugin(POLICIES, name))

"""From a finished run to a judged manager: accounts of every policy, what they amount to, and the verdict."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from alfred.core.contracts import Bars, Floats
from alfred.core.digest import code_digest, digest_of
from alfred.core.home import Home
from alfred.core.progress import Progress, Silent
from alfred.core.storage import whole_folder
from alfred.core.version import __version__
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.experiments import counting
from alfred.experiments.attributing import attributed, ground_of
from alfred.experiments.managed import (
    FILE,
    FOLDER,
    Capacity,
    LiquidResult,
    ManagerRecord,
    PolicyAttribution,
    Sensitivity,
    dump_managed,
    load_managed,
)
from alfred.experiments.managed_trials import finish_policies, trials_of_policies
from alfred.experiments.managing import Managing, digest_of_scene, liquid
from alfred.experiments.scenes import Source, read_source, scene_of
from alfred.experiments.sectors import SectorSummary, summary_of
from alfred.experiments.stages import Stages
from alfred.experiments.trials import TrialLedger, on_trial
from alfred.manager.contracts import PolicyDescription, Scene
from alfred.manager.figures import annual_volatility, capacity, figures, regimes
from alfred.manager.judgement import (
    BENCHMARK,
    CASH,
    FEWEST_SEEDS,
    Resampling,
    by_simplicity,
    compare,
    recommended,
    verdict,
)
from alfred.manager.settings import ManagerSettings
from alfred.manager.tracks import Track, account_of, growth, periods_a_year, under

COSTS_BPS = (0.0, 5.0, 10.0, 20.0, 30.0, 50.0)
"""Of traded value, over all other frictions."""
CAPITALS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
"""Times the manager's own capital."""

Tracks = Mapping[str, tuple[Track, ...]]


@dataclass(frozen=True)
class _Judged:
    """The accounts of every policy in order of simplicity, the scene of their decisions, and how to resample them."""

    policies: dict[str, PolicyDescription]
    scene: Scene
    tracks: Tracks
    resampling: Resampling

    @property
    def growth(self) -> dict[str, Floats]:
        """(N, P) log growth by policy."""
        return _growth(self.tracks, self.scene)


def manage(folder: Path, home: Home, settings: ManagerSettings, progress: Progress | None = None) -> ManagerRecord:
    """Let a run's forecasts be managed, judge it, and write the folder `manager` into the run's own.

    What was done before with the same settings, data and code is taken up.

    Args:
        folder: the run's.
        home: where the lake and finished stages are.
        settings: of the manager.
        progress: hears how far it is.

    Raises:
        FetchError: the trials cannot be counted, because the tracking data cannot be reached.
        AlfredError: the run or its data do not allow what the settings ask for.
    """
    progress = progress or Silent()
    progress.say("manager")
    source = read_source(folder, home, settings.analysts)
    scene = scene_of(source, settings)
    seen = digest_of_scene(scene)
    digest = digest_of(seen, settings.model_dump(mode="json"), code_digest())
    before = load_managed_or_none(folder)
    managing = Managing(scene, settings, Stages(home.stages), progress)
    ledger = TrialLedger.open(home)
    trials = trials_of_policies(source, settings, by_simplicity(managing.policies), seen, digest)
    counted = all(ledger.has_finished(trial) for trial in trials)  # another ledger, or a killed command, has them not
    if before is not None and before.digest == digest and counted:
        progress.say("this run was managed before, with the same settings, data and code")
        return before
    trials = counting.begin(ledger, trials)
    with on_trial(ledger, trials):
        judged = _tracks(managing, source.study.evaluation)
        record = _judge(managing, judged, source, folder, digest)
    finish_policies(ledger, trials, record, judged.scene, judged.tracks)
    return record


def _judge(managing: Managing, judged: _Judged, source: Source, folder: Path, digest: str) -> ManagerRecord:
    """Compare the policies' accounts, and write the folder."""
    settings, progress, scene = managing.settings, managing.progress, managing.scene
    narrow = liquid(scene)
    among_liquid = (
        None if narrow is None else _tracks(replace(managing, scene=narrow, past=scene), source.study.evaluation)
    )
    progress.say("judgement")
    attributions, sectors = _attributions(judged, source)
    comparisons = compare(judged.growth, judged.policies, judged.resampling)
    volatility = annual_volatility(judged.tracks[BENCHMARK])
    capitals = _capitals(judged)
    record = ManagerRecord(
        run=folder.name,
        study=source.record.study,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        alfred_version=__version__,
        digest=digest,
        verdict=verdict(comparisons, judged.policies),
        recommended=recommended(comparisons, judged.policies),
        warnings=tuple(_warnings(managing, judged)),
        first=str(judged.scene.dates[0]),
        last=str(judged.scene.dates[-1]),
        end=str(scene.bars.dates[scene.rows[-1]]),
        learnt=settings.first_periods,
        periods=judged.resampling.periods,
        periods_a_year=judged.resampling.periods_a_year,
        block=judged.resampling.block,
        level=judged.resampling.settings.level,
        names=len(scene.bars.symbols),
        analysts=scene.outlook.analysts,
        order=tuple(judged.policies),
        settings=settings.model_dump(mode="json"),
        frictions=scene.reality.frictions.model_dump(mode="json"),
        figures=tuple(
            figures(
                (name, about.title, about.learns, about.uses_forecasts),
                judged.scene,
                judged.tracks[name],
                judged.growth[name],
                target_volatility=volatility,
                resampling=judged.resampling,
            )
            for name, about in judged.policies.items()
        ),
        comparisons=comparisons,
        regimes=regimes(scene, settings.first_periods, judged.growth, judged.resampling),
        liquid=() if among_liquid is None else tuple(_liquid(among_liquid)),
        costs=tuple(_costs(judged)),
        capitals=capitals,
        capacities=tuple(_capacities(capitals)),
        attributions=attributions,
        sectors=sectors,
    )
    _write(folder / FOLDER, record, judged)
    return record


def _attributions(judged: _Judged, source: Source) -> tuple[tuple[PolicyAttribution, ...], SectorSummary | None]:
    """Where each policy's return came from, and what was known of sectors for it."""
    scene = judged.scene.span(0, len(judged.scene))
    bars, first = scene.bars, int(scene.rows[0])
    level = source.index[: len(bars.dates)]
    if not np.isfinite(level[first:]).all():
        return (), None
    index = Bars(bars.dates, (source.market.index_name,), level[:, None], level[:, None])
    may = scene.mask / np.maximum(scene.mask.sum(axis=1, keepdims=True), 1)
    ground = ground_of(source.market, bars, index, bars.dates[scene.rows[:-1]], scene.reality, reference=may)
    accounts = {name: [account_of(scene, track).account for track in own] for name, own in judged.tracks.items()}
    settings, periods_a_quarter = judged.resampling.settings, round(judged.resampling.periods_a_year / 4.0)
    blocks = settings.model_copy(update={"block_quarters": settings.block_quarters * periods_a_quarter})
    found = attributed(accounts, BENCHMARK, ground, blocks)
    return (
        tuple(PolicyAttribution(name, told.over_cash, told.over_equal) for name, told in found.items()),
        None if ground.sectors is None else summary_of(ground.sectors, scene.mask),
    )


def _tracks(managing: Managing, settings: BootstrapSettings) -> _Judged:
    described = managing.policies
    policies = {name: described[name] for name in by_simplicity(described)}
    tracks = {name: managing.tracks(name) for name in policies}
    scene = managing.judged
    return _Judged(policies, scene, tracks, Resampling(settings, periods_a_year(scene), len(scene)))


def _growth(tracks: Tracks, scene: Scene) -> dict[str, Floats]:
    return {name: np.stack([growth(track, scene) for track in own]) for name, own in tracks.items()}


def _liquid(judged: _Judged) -> list[LiquidResult]:
    resampling, found = judged.resampling, []
    for name, own in judged.growth.items():
        difference = own - judged.growth[BENCHMARK]
        found.append(
            LiquidResult(
                name,
                resampling.annual(own),
                resampling.interval(own),
                resampling.annual(difference),
                resampling.interval(difference),
            )
        )
    return found


def _costs(judged: _Judged) -> list[Sensitivity]:
    frictions = judged.scene.reality.frictions
    return [
        one
        for bps in COSTS_BPS
        for one in _sensitivity(judged, bps, {"commission_bps": frictions.commission_bps + bps})
    ]


def _capitals(judged: _Judged) -> tuple[Sensitivity, ...]:
    """Growth at more capital; empty where costs do not depend on it."""
    frictions = judged.scene.reality.frictions
    if frictions.impact_coefficient == 0.0 and frictions.fill_share is None:
        return ()
    tried = [times * frictions.capital_usd for times in CAPITALS]
    return tuple(one for capital in tried for one in _sensitivity(judged, capital, {"capital_usd": capital}))


def _sensitivity(judged: _Judged, value: float, changes: Mapping[str, float]) -> list[Sensitivity]:
    """Every policy's growth where the same decisions meet other frictions."""
    frictions = judged.scene.reality.frictions.model_copy(update=dict(changes))
    moved = {name: tuple(under(judged.scene, track, frictions) for track in own) for name, own in judged.tracks.items()}
    found = {name: judged.resampling.annual(own) for name, own in _growth(moved, judged.scene).items()}
    return [Sensitivity(name, value, own, own - found[BENCHMARK]) for name, own in found.items()]


def _capacities(capitals: Sequence[Sensitivity]) -> list[Capacity]:
    found = []
    for name in dict.fromkeys(one.policy for one in capitals):
        own = [one for one in capitals if one.policy == name]
        if name not in {BENCHMARK, CASH}:
            found.append(Capacity(name, capacity([one.value for one in own], [one.difference for one in own])))
    return found


def _warnings(managing: Managing, judged: _Judged) -> list[str]:
    """What must be said before the figures."""
    settings, scene, said = managing.settings, managing.scene, []
    learning = [about.title for about in judged.policies.values() if about.learns]
    if learning and len(settings.seeds) < FEWEST_SEEDS:
        said.append(
            f"Only {len(settings.seeds)} seed{'s' * (len(settings.seeds) != 1)}: nothing is said to be shown of "
            f"{', '.join(learning)} by fewer than {FEWEST_SEEDS}."
        )
    if scene.reality.frictions != settings.frictions:
        said.append(
            "Volume is not known: the study's flat costs stand for those by liquidity, and neither impact nor capacity "
            "can be told."
        )
    if ruined := [name for name, own in judged.tracks.items() if any(track.ruined for track in own)]:
        said.append(f"Ruin: {', '.join(ruined)} lost everything with some seed.")
    return said


def load_managed_or_none(folder: Path) -> ManagerRecord | None:
    """The record of an earlier manager, None where there is none that can be read."""
    try:
        return load_managed(folder)
    except ValueError:
        return None


def _write(folder: Path, record: ManagerRecord, judged: _Judged) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    seeds = record.settings["seeds"]
    with whole_folder(folder) as scratch:
        (scratch / FILE).write_text(dump_managed(record), encoding="utf-8")
        parts = [(name, seeds[at], track) for name, own in judged.tracks.items() for at, track in enumerate(own)]
        for file, rows in (("accounts", _account_rows), ("decisions", _decision_rows), ("weights", _weight_rows)):
            frames = [
                rows(judged.scene, track).select(pl.lit(name).alias("policy"), pl.lit(seed).alias("seed"), pl.all())
                for name, seed, track in parts
            ]
            pl.concat(frames).write_parquet(scratch / f"{file}.parquet")


def _account_rows(scene: Scene, track: Track) -> pl.DataFrame:
    first = int(scene.rows[0])
    return pl.DataFrame({"date": scene.bars.dates[first : first + len(track.value)], "value": track.value})


def _decision_rows(scene: Scene, track: Track) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "as_of": scene.dates,
            "filled_on": scene.bars.dates[scene.rows[:-1]],
            "turnover": track.turnover,
            "commission": track.costs[:, 0],
            "spread": track.costs[:, 1],
            "impact": track.costs[:, 2],
            "gross": np.abs(track.weights).sum(axis=1),
            "net": track.weights.sum(axis=1),
            "names": (track.weights != 0.0).sum(axis=1),
        }
    )


def _weight_rows(scene: Scene, track: Track) -> pl.DataFrame:
    at, name = np.nonzero((track.shown != 0.0) | (track.targets != 0.0) | (track.weights != 0.0))
    return pl.DataFrame(
        {
            "as_of": scene.dates[at],
            "symbol": np.array(scene.bars.symbols, dtype=object)[name].tolist(),
            "before": track.shown[at, name],
            "target": track.targets[at, name],
            "after": track.weights[at, name],
        },
        schema_overrides={"symbol": pl.String},
    )

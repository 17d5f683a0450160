"""Policies of a manager in the trial ledger: whoever tries twelve and keeps the best has tried twelve times.

1/N and cash are what the others are compared with, and no trials. Every other policy is one, over all its seeds.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from alfred.core.digest import code_digest, digest_of
from alfred.experiments.counting import quarterly_returns
from alfred.experiments.managed import ManagerRecord
from alfred.experiments.scenes import Source
from alfred.experiments.trials import Trial, TrialLedger
from alfred.manager.contracts import Scene
from alfred.manager.judgement import BENCHMARK, CASH
from alfred.manager.settings import ManagerSettings
from alfred.manager.tracks import Track

SUBJECT = "manager"
"""Beside a policy's name, as what is tried is no analyst."""


def trials_of_policies(
    source: Source, settings: ManagerSettings, policies: Sequence[str], scene: str, digest: str
) -> tuple[Trial, ...]:
    """The trials of a manager, one a policy; who else was tried beside it makes no other trial of it.

    Args:
        source: the run.
        settings: of the manager.
        policies: by name.
        scene: digest of what they see.
        digest: of the manager's record.
    """
    own = settings.model_dump(mode="json", exclude={"policies"})
    return tuple(
        Trial(
            key=digest_of(own, scene, name, code_digest()),
            family=source.study.counted_as,
            study=source.study.name,
            digest=digest,
            analyst=f"{name} ({SUBJECT})",
            protocol=source.record.protocol,
            seen_until=source.record.data.known_until,
            config={"policy": name, "rebalance": settings.rebalance, "seeds": list(settings.seeds)},
        )
        for name in policies
        if name not in {BENCHMARK, CASH}
    )


def finish_policies(
    ledger: TrialLedger,
    trials: Sequence[Trial],
    record: ManagerRecord,
    scene: Scene,
    tracks: Mapping[str, Sequence[Track]],
) -> None:
    """Write down what came of them: growth, the difference to 1/N, quarterly returns of an even mix of the seeds."""
    against = {one.policy: one for one in record.comparisons if one.rule == BENCHMARK}
    told = {one.policy: one for one in record.figures}
    first = int(scene.rows[0])
    for trial in trials:
        name = trial.analyst.removesuffix(f" ({SUBJECT})")
        value = np.mean([track.value for track in tracks[name]], axis=0)
        account = pl.DataFrame({"date": scene.bars.dates[first : first + len(value)], "value": value})
        returns = quarterly_returns(account.with_columns(portfolio=pl.lit(name)), name)
        figures = {"growth": told[name].growth}
        if name in against:
            figures["growth_less_equal_weight"] = against[name].difference
        ledger.finish(trial, figures, {name: returns} if returns.values else {})

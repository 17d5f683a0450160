"""What Optuna decides: the next point to try, and whether to give one up. Both from the table of trials alone.

Optuna's own storage is not used: a study is made in memory from the queue's rows each time one asks (milliseconds for
hundreds of trials), so that there is one truth about what was tried. A proposal depends on the rows, the sweep's seed
and the trial's number, and on nothing else.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from alfred.core.digest import digest_of
from alfred.core.errors import MissingExtraError
from alfred.experiments.sweeps.queue import FAILED, FINISHED, PRUNED, RUNNING, Row
from alfred.experiments.sweeps.settings import Dimension, PruningSettings, Range, Sweep
from alfred.experiments.sweeps.space import Point, draw, mark

if TYPE_CHECKING:
    import optuna

SPACE = "space"
STARTUP = 10
"""Trials that are drawn before the first is proposed by what was found, as Optuna has it."""
REPROPOSED = 20
"""Proposals that were tried before are made anew so often, then drawn."""


def propose(sweep: Sweep, rows: Sequence[Row], number: int) -> Point | None:
    """The point that TPE would try next; None where everything has been tried.

    Args:
        sweep: what to search.
        rows: all trials so far; those in flight count as bad ones near which it does not look.
        number: of the trial.
    """
    tried = {mark(row.point) for row in rows}
    if number >= STARTUP:
        _require_optuna()
        from optuna.samplers import TPESampler

        for again in range(REPROPOSED):
            seed = int(digest_of(sweep.seed, number, again)[:8], 16)
            sampler = TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)
            study = _study(sweep, rows, sampler)
            point = _asked(sweep, study.ask())
            if mark(point) not in tried:
                return point
    return draw(sweep, number, tried)


def hopeless(sweep: Sweep, rows: Sequence[Row], number: int) -> bool:
    """Whether to give a trial up.

    Args:
        sweep: with its rule for pruning.
        rows: all trials, this one among them with all that it reported so far.
        number: of the trial.
    """
    rule = sweep.pruning
    own = next(row for row in rows if row.number == number)
    if rule.method == "none" or len(own.reports) < rule.after:
        return False
    _require_optuna()
    from optuna.samplers import RandomSampler

    study = _study(sweep, [row for row in rows if row.number != number], RandomSampler(seed=0))
    study.add_trial(_frozen(sweep, own, decided=len(own.reports) - 1))
    trial = study.get_trials(deepcopy=False)[-1]
    return _pruner(rule).prune(study, trial)


def _pruner(rule: PruningSettings) -> "optuna.pruners.BasePruner":
    from optuna import pruners

    if rule.method == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=rule.after, reduction_factor=rule.factor)
    return pruners.MedianPruner(n_startup_trials=rule.startup, n_warmup_steps=rule.after - 1)


def _study(sweep: Sweep, rows: Sequence[Row], sampler: "optuna.samplers.BaseSampler") -> "optuna.Study":
    import optuna

    study = optuna.create_study(direction="maximize" if sweep.rises else "minimize", sampler=sampler)
    study.add_trials([_frozen(sweep, row) for row in rows if _usable(row)])
    return study


def _usable(row: Row) -> bool:
    return row.state in {RUNNING, PRUNED, FAILED} or (row.state == FINISHED and _value(row) is not None)


def _frozen(sweep: Sweep, row: Row, decided: int | None = None) -> "optuna.trial.FrozenTrial":
    """A row as a trial of Optuna, with the rungs of successive halving that it reached.

    `decided` is how many of its reports were decided on before; default all.
    """
    import optuna

    states = {FINISHED: "COMPLETE", PRUNED: "PRUNED", FAILED: "FAIL", RUNNING: "RUNNING"}
    values = {step: value for step, value in enumerate(row.reports, 1) if math.isfinite(value)}
    place, params = _place(sweep, row.point)
    return optuna.create_trial(
        state=optuna.trial.TrialState[states[row.state]],
        value=_value(row) if row.state == FINISHED else None,
        params={SPACE: place, **params},
        distributions=_distributions(sweep, place),
        intermediate_values=values,
        system_attrs=_rungs(sweep.pruning, dict(list(values.items())[:decided])),
    )


def _rungs(rule: PruningSettings, values: Mapping[int, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    step = rule.after
    while step in values:
        found[f"completed_rung_{len(found)}"] = values[step]
        step *= rule.factor
    return found


def _value(row: Row) -> float | None:
    value = row.result.get("value")
    return None if value is None else float(value)


def _asked(sweep: Sweep, trial: "optuna.Trial") -> Point:
    """The point that a trial of Optuna stands for."""
    place = int(trial.suggest_categorical(SPACE, list(range(len(sweep.space)))))
    found: Point = {}
    for name, dimension in sweep.space[place].items():
        own = f"{place}.{name}"
        if not isinstance(dimension, Range):
            found[name] = dimension[int(trial.suggest_categorical(own, list(range(len(dimension)))))]
        elif dimension.whole:
            low, high, step = int(dimension.low), int(dimension.high), int(dimension.step or 1)
            found[name] = trial.suggest_int(own, low, high, step=step, log=dimension.log)
        else:
            ends = float(dimension.low), float(dimension.high)
            found[name] = trial.suggest_float(own, *ends, step=dimension.step, log=dimension.log)
    return found


def _place(sweep: Sweep, point: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """The space that a point is of, and its values as Optuna knows them."""
    for place, part in enumerate(sweep.space):
        if set(part) != set(point):
            continue
        params = {}
        for name, dimension in part.items():
            if isinstance(dimension, tuple):
                same = [at for at, value in enumerate(dimension) if mark({"": value}) == mark({"": point[name]})]
                if not same:
                    break
                params[f"{place}.{name}"] = same[0]
            else:
                params[f"{place}.{name}"] = point[name]
        else:
            return place, params
    raise ValueError(f"the point {dict(point)} is of none of the sweep's spaces")


def _distributions(sweep: Sweep, place: int) -> "dict[str, optuna.distributions.BaseDistribution]":
    from optuna.distributions import CategoricalDistribution

    whole = CategoricalDistribution(list(range(len(sweep.space))))
    own = {f"{place}.{name}": _distribution(dimension) for name, dimension in sweep.space[place].items()}
    return {SPACE: whole, **own}


def _distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    from optuna import distributions as kinds

    if not isinstance(dimension, Range):
        return kinds.CategoricalDistribution(list(range(len(dimension))))
    if dimension.whole:
        return kinds.IntDistribution(
            int(dimension.low), int(dimension.high), log=dimension.log, step=int(dimension.step or 1)
        )
    return kinds.FloatDistribution(float(dimension.low), float(dimension.high), log=dimension.log, step=dimension.step)


def _require_optuna() -> None:
    """Make sure that Optuna is there, and silent; it is imported when first asked for.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError(
            'method = "tpe" and pruning need Optuna; try: pip install \'alfred[sweeps]\', or take "grid" or "random".'
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)

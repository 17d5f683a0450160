"""Opening a vault: one evaluation on the quarters that nobody has seen."""

from pathlib import Path

from alfred.core.calendar import FIRST_SESSION, day, decision_dates
from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.core.progress import Progress
from alfred.evaluation.protocols import SAME_YEARS
from alfred.experiments.prepared import read_inputs
from alfred.experiments.run import run_study
from alfred.experiments.study import Study
from alfred.experiments.vault import Opening, Vault, known_vault, refusal


def unseal(study: Study, home: Home, progress: Progress | None = None, *, again: bool = False) -> Path:
    """Evaluate a study on the sealed quarters of its family: every one that has come in since the vault was sealed.

    The walk-forward is the study's own. It begins with the first decision whose label nobody has seen, and trains on
    everything before. The opening counts from when all is ready and the first fit begins.

    Args:
        study: what to evaluate; its range of test quarters is replaced.
        home: where lake, results and tracking data are.
        progress: hears how far it is.
        again: look once more; the family stays marked for it.

    Returns:
        The run's folder, as `run_study`; its protocol is "sealed".

    Raises:
        ConfigError: the study has no vault, or its protocol tests the quarters that it trains on.
        DataError: the vault was opened before, by whomever, and `again` was not said; or no quarter lies behind it.
    """
    if study.universe.protocol in SAME_YEARS:
        raise ConfigError(
            f"the protocol {study.universe.protocol} trains on the quarters that it tests, and sealed ones must not be "
            "trained on; name one of other years."
        )
    vault = known_vault(study, home) or read_inputs(study, home).vault
    if vault is None:
        raise ConfigError(
            f"the study {study.name!r} has no vault: set vault_quarters, such as vault_quarters = 8, before it first "
            "runs."
        )
    if vault.unsealed and vault.unsealed[-1].finished_at and not again:
        raise DataError(refusal(vault.unsealed[0], vault.family))
    sealed = study.splits.model_copy(update={"test_first": _first(study, vault), "test_last": None})
    opening = Opening(vault, home, study.name, again)
    return run_study(study.model_copy(update={"splits": sealed}), home, progress, opening=opening)


def _first(study: Study, vault: Vault) -> str:
    """The first decision date whose label became known after the vault was sealed."""
    seen = decision_dates(day(FIRST_SESSION), vault.last_seen)
    return str(seen[-study.panel.horizon_quarters])

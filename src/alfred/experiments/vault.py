"""The vault: the last quarters of a study family's data, which no training, evaluation or sweep is shown.

The first study of a family that asks for a vault seals it: the last instant that anyone may see is fixed then, kept
with the tracking data under a name that can be taken once, and holds on every machine whatever later studies of the
family say. Data that come in afterwards lie behind it too. It is enforced in one place: the view of the lake that a
study is given ends at that instant, so that labels cannot reach in either.

`alfred unseal` opens it. Who does takes the name `alfred/unsealed/<family>/1`; the name is gone then, for everyone.
"""

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alfred.core.calendar import FIRST_SESSION, close_instants, day, decision_dates
from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.experiments.record import Unsealing
from alfred.experiments.study import Study
from alfred.experiments.tracking import NONCE, Claim, Tracking, tracking
from alfred.experiments.trials import TrialLedger

if TYPE_CHECKING:
    from mlflow.entities import Experiment

SEALED, UNSEALED = "alfred/vault/", "alfred/unsealed/"
_AFTER, _DIGEST, _FINISHED = "alfred.sealed_after", "alfred.digest", "alfred.finished_at"


@dataclass(frozen=True)
class Vault:
    """A family's vault.

    Attributes:
        family: of studies.
        sealed_after: last instant of the data that may be seen.
        unsealed: every time it was opened, in order.
    """

    family: str
    sealed_after: dt.datetime
    unsealed: tuple[Unsealing, ...] = ()

    @property
    def last_seen(self) -> np.datetime64:
        """Last decision date that may be seen."""
        return np.datetime64(self.sealed_after.date(), "D")


def vault_of(store: Tracking, family: str) -> Vault | None:
    """A family's vault; None where it has none."""
    found = store.find(SEALED + family)
    if found is None:
        return None
    try:
        after = dt.datetime.fromisoformat(found.tags[_AFTER])
    except (KeyError, ValueError):
        raise DataError(
            f"the vault of {family!r} at {store.place} has lost the instant after which it is sealed; put the tag "
            f"{_AFTER} of the experiment {found.name} back, or take another family."
        ) from None
    return Vault(family, after, unsealings(store, family))


def unsealings(store: Tracking, family: str) -> tuple[Unsealing, ...]:
    """Every time that a family's vault was opened, in order."""
    prefix = f"{UNSEALED}{family}/"
    found = [_unsealing(one, int(one.name.removeprefix(prefix))) for one in store.names(prefix)
             if one.name.startswith(prefix)]  # fmt: skip
    return tuple(sorted(found, key=lambda one: one.number))


def known_vault(study: Study, home: Home) -> Vault | None:
    """The vault of the study's family as it stands; None where there is none, and nothing is made to find that out."""
    if not home.shared_tracking and not home.tracking.exists():
        return None
    return vault_of(tracking(home), study.counted_as)


def seal(study: Study, home: Home, last: np.datetime64) -> Vault:
    """Seal the last quarters of the data for the study's family, unless another machine has done so meanwhile.

    Args:
        study: says how many quarters.
        home: whose tracking data keep it.
        last: last session of the data.

    Raises:
        ConfigError: there are not as many quarters.
        DataError: the family has seen later data already.
    """
    family, quarters = study.counted_as, study.vault_quarters
    dates = decision_dates(day(FIRST_SESSION), last)
    if quarters >= len(dates):
        raise ConfigError(f"vault_quarters {quarters} would seal all the data, which end on {last}; seal fewer.")
    close = close_instants(dates[len(dates) - 1 - quarters :][:1])[0]
    after = close.astype("datetime64[us]").item().replace(tzinfo=dt.UTC)
    store = tracking(home)
    seen = max((one.seen_until for one in TrialLedger(store).trials(family)), default="")
    if seen and dt.datetime.fromisoformat(seen) > after:
        raise DataError(
            f"the family {family!r} was evaluated without a vault on data to {seen[:10]}, so the quarters after "
            f"{after:%Y-%m-%d} cannot be sealed any more; give the study another family, set vault_quarters to 0, or "
            "wait for newer data."
        )
    told = {_AFTER: after.isoformat(), "alfred.sealed_at": _now(), "alfred.study": study.name}
    claim = store.claim(SEALED + family, told)
    return Vault(family, dt.datetime.fromisoformat(claim.about[_AFTER]), unsealings(store, family))


@dataclass(eq=False)
class Opening:
    """The right to look into a vault, taken when all is ready to be evaluated and kept by what came of it.

    Attributes:
        vault: which.
        home: whose.
        study: whom it is for.
        again: whether it may be opened though it was before.
        claim: once taken.
    """

    vault: Vault
    home: Home
    study: str
    again: bool
    claim: Claim | None = None

    @contextmanager
    def taken(self, digest: str) -> Iterator[None]:
        """Take the right, and hold it for the block.

        An opening of this home that was killed before it had a result is gone on with, by the same study only.

        Args:
            digest: of the run.

        Raises:
            DataError: the vault was opened before, and `again` was not said.
        """
        store, number = tracking(self.home), 1
        told = {_DIGEST: digest, "alfred.study": self.study, "alfred.opened_at": _now()}
        while True:
            name, note = f"{UNSEALED}{self.vault.family}/{number}", self._note(number)
            with _alone(note) as alone:
                claim = store.claim(name, told) if alone else None
                if claim is not None and claim.mine:
                    note.write_text(claim.about[NONCE], encoding="utf-8")
                if claim is not None and (claim.mine or _goes_on(claim, note, digest)):
                    self.claim = claim
                    yield
                    return
            if not self.again:
                first = _read(claim, number) if claim is not None else None
                raise DataError(refusal(first, self.vault.family))
            number += 1

    def finish(self, verdict: str, run: str) -> None:
        """Write down what was found."""
        if self.claim is None:
            raise ConfigError("a vault must be opened before a result is written; use taken().")
        store = tracking(self.home)
        with store.asked() as client:
            for name, value in (("alfred.verdict", verdict[:5000]), ("alfred.run", run), (_FINISHED, _now())):
                client.set_experiment_tag(self.claim.number, name, value)

    def _note(self, number: int) -> Path:
        return self.home.tracking / f"opening-{self.vault.family}-{number}"


def refusal(first: Unsealing | None, family: str) -> str:
    """Why a vault is not opened a second time; None where another process of this machine is at it."""
    if first is None:
        return f"another process is opening the vault of {family!r} just now; wait for its result."
    found = f"It found: {first.verdict}" if first.verdict else "It has no result; it failed, or is still running."
    return (
        f"the vault of {family!r} was opened on {first.opened_at[:10]} by the study {first.study!r} (digest "
        f"{first.digest[:10]}), and a second look is no test any more. {found} To look again, and be marked for it for "
        "ever, say --again."
    )


@contextmanager
def _alone(note: Path) -> Iterator[bool]:
    """Whether no other process of this machine is at the same opening; none will be during the block."""
    note.parent.mkdir(parents=True, exist_ok=True)
    with note.open("a", encoding="utf-8") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows: the claim alone decides, and a killed opening is not gone on with
            yield True
        except OSError:
            yield False
        else:
            yield True


def _goes_on(claim: Claim, note: Path, digest: str) -> bool:
    """Whether this home took the right for the same run, and that run was killed before it had a result."""
    mine = sys.platform != "win32" and note.read_text(encoding="utf-8") == claim.about.get(NONCE)
    return mine and claim.about.get(_DIGEST) == digest and _FINISHED not in claim.about


def _read(claim: Claim, number: int) -> Unsealing:
    about = claim.about
    return Unsealing(
        number,
        about.get("alfred.study", ""),
        about.get(_DIGEST, ""),
        about.get("alfred.opened_at", ""),
        about.get(_FINISHED, ""),
        about.get("alfred.verdict", ""),
        about.get("alfred.run", ""),
    )


def _unsealing(found: "Experiment", number: int) -> Unsealing:
    return _read(Claim(found.name, found.experiment_id, found.tags, mine=False), number)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")

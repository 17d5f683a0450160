"""Tries to open the vault of a family: `python vault_opener.py WHO FAMILY FOLDER`, when FOLDER has a file "go"."""

import datetime as dt
import sys
import time
from collections.abc import Callable
from pathlib import Path

from alfred.core.errors import DataError
from alfred.core.home import Home, home
from alfred.experiments.trials import Trial, TrialLedger
from alfred.experiments.vault import Opening, Vault


def opened(place: Home, family: str, who: str, *, again: bool = False, go: Callable[[], None] = lambda: None) -> str:
    """What came of it."""
    ledger = TrialLedger.open(place)
    go()
    ledger.begin(Trial(f"k{who}", family, "s", "d", "ridge", "sealed"))
    vault = Vault(family, dt.datetime(2020, 9, 30, 20, tzinfo=dt.UTC))
    opening = Opening(vault, place, f"study-{who}", again=again)
    try:
        with opening.taken(f"digest-{who}"):
            time.sleep(0.2)
            opening.finish(f"found by {who}", f"run-{who}")
    except DataError as error:
        return f"refused {error}"
    return f"opened {opening.claim.name}"


def main(who: str, family: str, folder: Path) -> None:
    def wait() -> None:
        (folder / f"ready-{who}").touch()
        while not (folder / "go").exists():
            time.sleep(0.001)

    sys.stdout.write(opened(home(), family, who, go=wait))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

"""A run that a manager can be tried on in seconds, on the sample's real prices."""

import functools
from pathlib import Path

from small_study import small_study

from alfred.core.home import Home
from alfred.experiments.run import run_study
from alfred.experiments.study import Study


def managed_study(**changes: object) -> Study:
    return small_study(
        **{"analysts": [{"name": "momentum"}, {"name": "ridge"}], "backtest": {"strategies": ["simple"]}, **changes}
    )


@functools.cache
def managed_run(home: Home) -> Path:
    """The folder of its run; made once a process for each home."""
    return run_study(managed_study(), home)

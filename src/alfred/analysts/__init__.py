"""Analysts forecast the rows of a panel. One file an analyst: the folder is the registry."""

from alfred.analysts._anchored import known_forecast
from alfred.analysts._jobs import Job, adopt, fit_many
from alfred.analysts._presets import AnalystSpec
from alfred.analysts._registry import (
    AnalystDescription,
    analyst_names,
    describe,
    make_analyst,
    restore_analyst,
)
from alfred.analysts._store import read_saved

__all__ = [
    "AnalystDescription",
    "AnalystSpec",
    "Job",
    "adopt",
    "analyst_names",
    "describe",
    "fit_many",
    "known_forecast",
    "make_analyst",
    "read_saved",
    "restore_analyst",
]

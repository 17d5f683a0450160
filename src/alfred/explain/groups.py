"""Columns that say the same: groups by correlation, so that what they add is told together.

Shapley values share what correlated columns know among them in a way that depends on chance of the fit; the sum over
a group of them does not. Groups are those of average linkage on 1 - |r| (Sokal and Michener 1958): the mean absolute
correlation between two groups that were joined is at least the bound.
"""

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from alfred.core.contracts import Floats, Windows
from alfred.core.errors import ConfigError, DataError

LIKENESS = 0.7
"""Default bound: about half of the variance in common."""


@dataclass(frozen=True)
class Group:
    """Columns that move together; `likeness` is the smallest absolute correlation of two of them, 1 for a single one.

    Its name is that of its first column, in the order of the windows, and how many stand behind it.
    """

    columns: tuple[str, ...]
    likeness: float

    @property
    def name(self) -> str:
        """Such as `10year +2`."""
        return self.columns[0] if len(self.columns) == 1 else f"{self.columns[0]} +{len(self.columns) - 1}"


def correlated_groups(windows: Windows, likeness: float = LIKENESS) -> tuple[Group, ...]:
    """Groups of the columns of training rows, by the correlation of the decision quarters' numbers.

    A column that does not vary is a group of its own.

    Args:
        windows: training rows.
        likeness: mean absolute correlation at which groups are joined, above 0 and at most 1.

    Raises:
        ConfigError: the bound is none.
        DataError: there are fewer than 2 rows.
    """
    if not 0 < likeness <= 1:
        raise ConfigError(f"columns are grouped by a correlation above 0 and at most 1, got {likeness:g}.")
    if len(windows) < 2:
        raise DataError(f"a correlation of columns needs at least 2 training rows, got {len(windows)}.")
    alike = correlation(windows)
    count = len(alike)
    labels = [1]
    if count > 1:
        apart = squareform(1 - alike, checks=False)
        labels = fcluster(linkage(apart, "average"), 1 - likeness + 1e-12, "distance").tolist()
    found = []
    for label in dict.fromkeys(labels):
        place = np.flatnonzero(np.array(labels) == label)
        least = float(alike[np.ix_(place, place)].min()) if len(place) > 1 else 1.0
        found.append(Group(tuple(windows.columns[at] for at in place), least))
    return tuple(found)


def correlation(windows: Windows) -> Floats:
    """(F, F) absolute correlations of the decision quarters' numbers; 0 beside a column that does not vary."""
    x = windows.cells[windows.index[:, -1]].astype(np.float64)
    x -= x.mean(axis=0)
    size = np.sqrt((x**2).sum(axis=0))
    unit = x / np.where(size > 1e-9, size, np.inf)
    alike: Floats = np.clip(np.abs(unit.T @ unit), 0.0, 1.0)
    np.fill_diagonal(alike, 1.0)
    return alike

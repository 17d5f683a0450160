"""Rows with a known answer, for the tests of `alfred.explain`: labels are a line in two columns, plus noise."""

import numpy as np

from alfred.core.contracts import DIRECTION, Windows

COLUMNS = ("momentum_12_1", "value", "size", "missing:value", "drawdown", "beta")
SLOPES = {"momentum_12_1": 0.06, "value": 0.05}
FIRST_QUARTER = np.datetime64("1995-03-31")


def planted(rows, target="PM", *, seed=0, first=FIRST_QUARTER, symbols=8, quarters=2):
    """`rows` rows of `symbols` names a quarter; the label's signal is in the decision quarter."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, quarters, len(COLUMNS))).astype(np.float32)
    change = 0.01 + 0.05 * random.normal(size=rows)
    for column, slope in SLOPES.items():
        change += slope * x[:, -1, COLUMNS.index(column)]
    month = np.arange(rows) // symbols * 3 + 1
    return Windows.of(
        x=x,
        seen=np.ones((rows, quarters), bool),
        columns=COLUMNS,
        dates=(first.astype("datetime64[M]") + month).astype("datetime64[D]") - 1,
        symbols=np.array([f"S{at % symbols}" for at in range(rows)]),
        target=target,
        y=(change > 0).astype(float) if target == DIRECTION else change,
    )


def after(windows):
    """A date on which rows that follow `windows` can begin."""
    return (windows.dates.max() + 80).astype("datetime64[D]")

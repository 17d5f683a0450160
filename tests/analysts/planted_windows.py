"""Rows with a known answer: labels are a line in two columns, plus noise."""

import numpy as np

from alfred.core.contracts import DIRECTION, Windows

COLUMNS = ("momentum_12_1", "value", "size", "missing:value", "drawdown", "beta")
SIGNAL = {"momentum_12_1": 0.06, "value": 0.05}
FIRST_QUARTER = np.datetime64("1995-03-31")


def planted(
    rows: int,
    target: str = "PM",
    *,
    signal: dict[str, float] | None = None,
    noise: float = 0.05,
    seed: int = 0,
    first: np.datetime64 = FIRST_QUARTER,
    symbols: int = 8,
    quarters: int = 2,
) -> Windows:
    """`rows` rows of `symbols` names a quarter, from `first` on; the label's signal is in the decision quarter."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, quarters, len(COLUMNS))).astype(np.float32)
    chosen = SIGNAL if signal is None else signal
    change = 0.01 + noise * random.normal(size=rows)
    for column, slope in chosen.items():
        change += slope * x[:, -1, COLUMNS.index(column)]
    month = np.arange(rows) // symbols * 3 + 1
    dates = (first.astype("datetime64[M]") + month).astype("datetime64[D]") - 1
    return Windows.of(
        x=x,
        seen=np.ones((rows, quarters), bool),
        columns=COLUMNS,
        dates=dates,
        symbols=np.array([f"S{i % symbols}" for i in range(rows)]),
        target=target,
        y=(change > 0).astype(float) if target == DIRECTION else change,
    )


def after(windows: Windows) -> np.datetime64:
    """A date on which rows that follow `windows` can begin."""
    return (windows.dates.max() + 80).astype("datetime64[D]")

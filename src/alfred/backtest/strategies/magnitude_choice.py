"""The whole account in the single largest forecast by absolute size: the notes' `MagnitudeChoiceBacktester`.

Long where that forecast is positive, short where it is negative, nothing where it is zero or where no name has a
reading. Of equal sizes the first name in order is taken. Nothing is held for its own sake: a name that is no longer
the largest is closed.
"""

import numpy as np

from alfred.backtest.contracts import Readings, Targets


def targets(readings: Readings) -> Targets:
    """Positions and weights, (D, S); each row depends on its own readings only."""
    positions = np.zeros(readings.mean.shape, dtype=np.int8)
    if readings.symbols:
        sizes = np.nan_to_num(np.abs(readings.mean), nan=0.0)
        dates, largest = np.arange(len(sizes)), sizes.argmax(axis=1)
        positions[dates, largest] = np.sign(np.nan_to_num(readings.mean[dates, largest], nan=0.0))
    return Targets(positions, positions.astype(np.float64), readings.mean)

"""Long where the probability of a rise is above one half, otherwise short: the notes' `SimpleBackTester`.

An opposite signal is an exit: the position is closed and the opposite one opened at the same fill. Without a reading
there is no position, and one that is held is closed. Every name has an equal slot, 1/S of the account.
"""

import numpy as np

from alfred.backtest.contracts import Readings, Targets


def targets(readings: Readings) -> Targets:
    """Positions and weights, (D, S); each row depends on its own readings only."""
    rise = readings.prob_up
    positions = np.where(np.isnan(rise), 0, np.where(rise > 0.5, 1, -1)).astype(np.int8)
    return Targets(positions, positions / len(readings.symbols), rise)

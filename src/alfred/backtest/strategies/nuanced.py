"""Enter on confidence, leave on doubt: the notes' `NuancedBackTester`.

A probability of a rise above 0.7 enters long, one below 0.3 enters short. A long is left below 0.5, a short at 0.5 or
above; where that reading is confident enough to enter the other side, it does so at the same fill. Otherwise a
position is held. Without a reading there is no new position, and one that is held is closed. Every name has an equal
slot, 1/S of the account.
"""

import numpy as np

from alfred.backtest.contracts import Readings, Targets


def targets(readings: Readings) -> Targets:
    """Positions and weights, (D, S); each row depends on its own readings and the positions before it."""
    positions = np.zeros(readings.prob_up.shape, dtype=np.int8)
    held = np.zeros(len(readings.symbols), dtype=np.int8)
    for at, rise in enumerate(readings.prob_up):
        stays = ((held > 0) & (rise >= 0.5)) | ((held < 0) & (rise < 0.5))
        held = np.where(rise > 0.7, 1, np.where(rise < 0.3, -1, np.where(stays, held, 0))).astype(np.int8)
        positions[at] = held
    return Targets(positions, positions / len(readings.symbols), readings.prob_up)

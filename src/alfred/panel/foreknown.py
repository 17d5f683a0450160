"""Rows of a panel whose language columns a model may have written that knew what came after."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from alfred.core.contracts import Bools
from alfred.panel.catalogue import Feature
from alfred.panel.sources import Sources

FAMILY = "language"


def foreknown(sources: Sources, columns: Sequence[Feature]) -> Bools:
    """(D, S) whether a row rests on a digest of an article that its model's knowledge reaches beyond.

    Such is a digest of an article published on the model's knowledge cutoff or before; one of a model that declares no
    cutoff always is, and one of a digester that learnt nothing of the world never. A row rests on the digests of its
    quarter, and with a `delta_` column on those of the quarter before. Later rows are not flagged for having flagged
    ones in their window: what the model knew when those were written has happened by then.

    Args:
        sources: of the panel.
        columns: those that the panel uses; without one of this family nothing is flagged.
    """
    used = [column for column in columns if column.family == FAMILY]
    if not used:
        return np.zeros((len(sources.dates), len(sources.symbols)), np.bool_)
    digests = sources.digests
    reaches = pl.col("published_at").dt.date() <= pl.col("knowledge_cutoff")
    flagged: Bools = digests.sums(digests.rows.select(reaches.fill_null(value=False)).to_series().to_numpy()) > 0
    if any(column.name.startswith("delta_") for column in used):
        flagged[1:] |= flagged[:-1].copy()
    return flagged

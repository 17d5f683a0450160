"""Scores of language models that may know what came after the text."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, TooLittleError, few
from alfred.evaluation.audit._evidence import Evidence


def before_the_cutoff(evidence: Evidence) -> Iterator[Found]:
    """Digests of texts that are older than the knowledge of the model that read them."""
    digests = evidence.digests
    if digests is None or digests.is_empty():
        raise TooLittleError("there are no digests")
    told = digests.drop_nulls("knowledge_cutoff")
    if told.is_empty():
        raise TooLittleError("no digest records a knowledge cutoff")
    early = told.filter(pl.col("published_at").dt.date() < pl.col("knowledge_cutoff"))
    if len(early):
        by = "digester" if "digester" in early.columns else "knowledge_cutoff"
        models = early.group_by(by).agg(pl.len(), pl.col("knowledge_cutoff").max().alias("until"))
        rows = models.sort("len", by, descending=[True, False]).iter_rows(named=True)
        named = [f"{row[by]} ({row['len']:,}, knows up to {row['until']})" for row in rows]
        first = str(early["published_at"].dt.date().min())
        what = (
            f"{len(early):,} of {len(digests):,} scores are of texts from {first} on that are older than their model's "
            f"knowledge: {few(named)}; it may know what came."
        )
        yield Found(what, "warning", dates=(first,), rows=len(early), figures={"share": len(early) / len(digests)})


def scored_before_the_cutoff(evidence: Evidence) -> Iterator[Found]:
    """Scores in a panel on dates before the model's knowledge ends."""
    panel, columns, cutoff = evidence.panel, evidence.language_columns, evidence.knowledge_cutoff
    if panel is None or columns is None or cutoff is None:
        raise TooLittleError("needs panel, language_columns, knowledge_cutoff")
    if not columns:
        raise TooLittleError("no column holds scores of language models")
    early = panel.dates < cutoff
    cells, struck = 0, []
    for column in columns:
        known = np.isfinite(panel.column(panel.columns.index(column))[early])
        if known.any():
            struck.append(column)
            cells += int(known.sum())
    if struck:
        what = (
            f"{cells:,} scores in {few(struck)} stand before {cutoff}, up to which their model knows the world; "
            "it may know what came."
        )
        yield Found(what, "warning", tuple(struck[:5]), dates=(str(panel.dates[0]), str(cutoff)), rows=cells)


CHECKS = (
    AuditCheck(
        "language-knows-the-future", 22, "a language model that knows the future",
        "report results before and after the model's knowledge cutoff, or score old texts with a lexicon",
        (
            Probe(("digests",), "dates of texts, beside the knowledge cutoffs of the models that read them", "warning",
                  before_the_cutoff),
            Probe(("panel", "language_columns", "knowledge_cutoff"), "dates of scores, beside the model's cutoff",
                  "warning", scored_before_the_cutoff),
        ),
    ),
)  # fmt: skip

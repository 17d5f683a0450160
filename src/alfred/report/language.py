"""What digests the columns of articles rest on, and the results before and after what their model may have known."""

from dataclasses import dataclass

from alfred.experiments.record import LanguageSummary, RunRecord
from alfred.report.format import COUNT, DASH, PERCENT, NumberStyle
from alfred.report.table import Cell, Column, Table, measured

_IC = NumberStyle(3, signed=True)
_SCORE = NumberStyle(3)
PARTS = {"before": "knows later", "after": "does not"}


@dataclass(frozen=True)
class LanguageSection:
    """Facts are pairs of term and description; `warning` is empty where no test row is flagged."""

    facts: tuple[tuple[str, str], ...]
    warning: str
    results: Table | None
    scores: Table | None
    columns: Table | None
    twin: str


def language_section(record: RunRecord) -> LanguageSection | None:
    """None where the panel has no column of articles."""
    found = record.language
    if found is None:
        return None
    cutoff = {"": "it learnt nothing of the world", "unknown": "not declared"}.get(found.cutoff, found.cutoff)
    facts = (
        ("Digests of", found.digester),
        ("Read by", found.model),
        ("Knowledge cutoff", cutoff),
        ("Columns", ", ".join(found.columns)),
        ("Test rows flagged", f"{COUNT.text(found.flagged)} of {COUNT.text(found.rows)}"),
    )
    return LanguageSection(
        facts, _warning(found), _results(found) if found.flagged else None, _scores(found), _columns(found), found.twin
    )


def _warning(found: LanguageSummary) -> str:
    if not found.flagged:
        return ""
    if all(part.quarters == 0 for part in found.results if part.part == "after"):
        return (
            "Every test quarter rests on digests by a model that may have known what came after. No figure of this run "
            "is free of it: digest with a model of an earlier cutoff, anonymise the articles, or test later quarters."
        )
    return (
        "In flagged quarters the model may have known what came after the articles. A result that is good there and "
        "gone afterwards is memory, not skill; with few quarters afterwards nothing can be told."
    )


def _results(found: LanguageSummary) -> Table:
    columns = (
        Column("Analyst"), Column("The model", whole=True), Column("Quarters", numeric=True),
        Column("Rows", numeric=True), Column("Rank IC", numeric=True), Column("Accuracy", numeric=True),
    )  # fmt: skip
    none = "no test quarter is of this kind"
    rows = tuple(
        (
            Cell(part.analyst),
            Cell(PARTS[part.part]),
            Cell(COUNT.text(part.quarters), sort=part.quarters),
            Cell(COUNT.text(part.rows), sort=part.rows),
            measured(part.rank_ic, _IC, part.rank_ic_interval, title="" if part.quarters else none),
            measured(part.accuracy, PERCENT, part.accuracy_interval, title="" if part.quarters else none),
        )
        for part in found.results
    )
    return Table("Results in quarters before the model's knowledge cutoff (it knows later) and after", columns, rows)


def _scores(found: LanguageSummary) -> Table | None:
    if not found.scores:
        return None
    columns = (
        Column("Score"), Column("Articles", numeric=True), Column("Rank correlation", numeric=True),
        Column("Pearson", numeric=True), Column("Mean change", numeric=True, title="without names less with names"),
        Column("Sign turned", numeric=True),
    )  # fmt: skip
    rows = tuple(
        (
            Cell(pair.score),
            Cell(COUNT.text(pair.articles), sort=pair.articles),
            measured(pair.rank_correlation, _SCORE),
            measured(pair.correlation, _SCORE),
            measured(pair.mean_change, _IC),
            measured(pair.turned, PERCENT),
        )
        for pair in found.scores
    )
    return Table("Scores of the same articles with and without names", columns, rows)


def _columns(found: LanguageSummary) -> Table | None:
    if not found.twin_columns:
        return None
    columns = (
        Column("Column"), Column("Quarters", numeric=True), Column("Rank IC with names", numeric=True),
        Column("Without", numeric=True), Column("Difference", numeric=True),
    )  # fmt: skip
    rows = tuple(
        (
            Cell(one.column),
            Cell(COUNT.text(one.quarters) if one.quarters else DASH, sort=one.quarters),
            measured(one.rank_ic, _IC),
            measured(one.rank_ic_hidden, _IC),
            measured(one.difference, _IC, one.difference_interval),
        )
        for one in found.twin_columns
    )
    return Table("The columns' own rank IC with the next change of price, with and without names", columns, rows)

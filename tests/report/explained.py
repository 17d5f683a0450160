"""An explanation's folder from seeded random numbers."""

from pathlib import Path

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from alfred.experiments.explaining import ExplainRequest, Explanation
from alfred.explain.attribution import Attribution
from alfred.explain.groups import Group
from alfred.explain.summary import column_table, group_table, part_table, value_table

COLUMNS = (*tuple(f"a_rather_long_column_name_{at}" for at in range(12)), "<b>x</b>")
GROUPS = (Group(COLUMNS[:3], 0.8), *(Group((name,), 1.0) for name in COLUMNS[3:]))


def folder_of(root: Path, *, control: bool = True) -> Path:
    random = np.random.default_rng(0)
    rows = 60
    values = random.normal(size=(rows, 1, len(COLUMNS))) * np.linspace(1, 0.05, len(COLUMNS))
    found = Attribution(
        "hand.analyst", "by hand", COLUMNS,
        np.repeat(np.arange("2001-01", "2003-07", 3, dtype="datetime64[M]"), 6).astype("datetime64[D]"),
        np.array(["AAA", "BBB", "CCC"] * 20), values, np.zeros(rows), np.full(rows, 0.1),
        0.1 + values.sum(axis=(1, 2)), np.zeros((rows, len(COLUMNS))), random.normal(size=(rows, len(COLUMNS))),
    )  # fmt: skip
    columns = column_table(found, GROUPS)
    if control:
        columns = columns.with_columns(
            control_importance=pl.col("mean_abs"), line=pl.lit(0.5), above=pl.col("mean_abs") > 0.5, by_date=False
        )
    tables = {
        "columns": columns, "groups": group_table(found, GROUPS), "dates": part_table(found, GROUPS, "as_of"),
        "names": part_table(found, GROUPS, "symbol"), "values": value_table(found),
    }  # fmt: skip
    root.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.write_parquet(root / f"{name}.parquet")
    about = Explanation(
        "run-1", "hand.analyst", "PM", 0, "by hand", rows, 100, "2001-01-01", "2003-04-01", 0.1, 1e-16,
        0.0 if control else 0.8, GROUPS, 9 if control else 0, 0.1, "columns", ExplainRequest(),
    )  # fmt: skip
    (root / "explanation.json").write_bytes(TypeAdapter(Explanation).dump_json(about))
    return root

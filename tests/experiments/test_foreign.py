"""Tables from elsewhere: what is read, what is refused, and what is found in them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alfred.core.errors import ConfigError, DataError
from alfred.evaluation.audit import Audit, examine
from alfred.experiments.foreign import ForeignTable, foreign_evidence

DATES, NAMES = 48, 40
Change = Callable[[pl.DataFrame], pl.DataFrame]


def honest() -> pl.DataFrame:
    """A panel in long form: a few columns, a label of the next quarter, and names that end."""
    rng = np.random.default_rng(2)
    days = (np.datetime64("2003-04", "M") + 3 * np.arange(DATES)).astype("datetime64[D]") - 1
    label = 0.02 + 0.05 * rng.standard_normal((DATES, 1)) + 0.13 * rng.standard_normal((DATES, NAMES))
    label[-1] = np.nan
    past = np.vstack([np.full((1, NAMES), np.nan), label[:-1]])
    there = np.ones((DATES, NAMES), np.bool_)
    for name in range(0, NAMES, 5):
        there[30 + name // 3 :, name] = False
    row, column = np.nonzero(there)
    columns = {
        "past": past, "value": np.exp(rng.standard_normal((DATES, NAMES))),
        "VIX": np.repeat(20 + np.cumsum(rng.standard_normal((DATES, 1)), axis=0), NAMES, axis=1),
        "sentiment": rng.standard_normal((DATES, NAMES)),
    }  # fmt: skip
    frame = pl.DataFrame(
        {
            "date": days[row],
            "symbol": [f"N{at:02d}" for at in column],
            "sector": "tech",
            "known_at": days[row],
            "PM": label[row, column],
            **{name: values[row, column] for name, values in columns.items()},
        }
    )
    return frame.with_columns(pl.col("date", "known_at").cast(pl.Date)).fill_nan(None)


def forecasts(seed: int = 0) -> pl.DataFrame:
    """Honest forecasts: train, valid and test follow one another, other names are tested."""
    rows = honest().select("date", "symbol")
    number = pl.col("symbol").str.slice(1).cast(pl.Int64)
    first, second = honest()["date"].unique().sort()[24], honest()["date"].unique().sort()[32]
    part = (
        pl.when(number < 20).then(
            pl.when(pl.col("date") < first).then(pl.lit("train")).when(pl.col("date") < second).then(pl.lit("valid"))
        ).otherwise(pl.when(pl.col("date") >= second).then(pl.lit("test")))
    )  # fmt: skip
    noise = pl.Series("prediction", np.random.default_rng(seed).standard_normal(len(rows)))
    return rows.with_columns(part.alias("split"), noise).drop_nulls("split")


def audited(folder: Path, panel: pl.DataFrame, said: pl.DataFrame | None = None, **words: object) -> Audit:
    panel.write_parquet(folder / "panel.parquet")
    if said is not None:
        said.write_csv(folder / "said.csv")
        words |= {"predictions": folder / "said.csv", "part": "split"}
    return examine(foreign_evidence(ForeignTable(panel=folder / "panel.parquet", label="PM", **words)).evidence)


def found(audit: Audit) -> set[str]:
    return {finding.check for finding in audit.findings}


def test_an_honest_table_is_silent(tmp_path: Path) -> None:
    audit = audited(tmp_path, honest(), forecasts(), known_at="known_at")
    assert audit.findings == ()
    clean = {outcome.check for outcome in audit.outcomes if outcome.status == "clean"}
    assert {"train-test-overlap", "quarter-overlap", "used-before-filed", "label-in-features"} <= clean
    lacking = {outcome.check for outcome in audit.outcomes if outcome.status == "not examined"}
    assert {"loss-without-gradient", "summed-percentages", "tries-not-counted"} <= lacking


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    honest().write_csv(tmp_path / "panel.csv")
    honest().write_parquet(tmp_path / "panel.parquet")
    first, second = (
        foreign_evidence(ForeignTable(panel=tmp_path / f"panel.{kind}", label="PM", known_at="known_at"))
        for kind in ("csv", "parquet")
    )
    assert first.skipped == second.skipped == ("sector",)
    for one in (first.evidence, second.evidence):
        assert one.panel is not None
        assert one.panel.columns == ("past", "value", "VIX", "sentiment")
        assert one.panel.values.shape == (DATES, NAMES, 4)
        assert not one.panel.present[-1, 0]
    np.testing.assert_array_equal(first.evidence.panel.values, second.evidence.panel.values)


DEFECTS: list[tuple[str, Change]] = [
    ("filled-backwards", lambda panel: panel.with_columns(
        bitcoin=pl.when(pl.col("date") < pl.date(2009, 1, 1)).then(19_100.0).otherwise("VIX"))),
    ("zeros-for-missing", lambda panel: panel.with_columns(
        EPS=pl.when(pl.col("date") < pl.date(2009, 1, 1)).then(0.0).otherwise("value"))),
    ("used-before-filed", lambda panel: panel.with_columns(known_at=pl.col("date") + pl.duration(days=45))),
    ("scaler-saw-everything", lambda panel: panel.with_columns(
        ((pl.col(name) - pl.col(name).mean()) / pl.col(name).std(ddof=0)).alias(name)
        for name in ("past", "value", "VIX", "sentiment"))),
    ("stale-prices", lambda panel: panel.with_columns(
        PM=pl.when((pl.col("symbol") == "N07") & (pl.col("date") > pl.date(2008, 1, 1))).then(0.0).otherwise("PM"))),
    ("level-correlation", lambda panel: panel.sort("symbol", "date").with_columns(
        Close=30 * (1 + pl.col("PM").fill_null(0.0)).shift(1).fill_null(1.0).cum_prod().over("symbol"))),
    ("label-in-features", lambda panel: panel.with_columns(innocent=(-3 * pl.col("PM")).exp())),
    ("label-beyond-data", lambda panel: panel.with_columns(pl.col("PM").fill_null(0.0))),
    ("survivors-only", lambda panel: panel.filter(pl.len().over("symbol") == DATES)),
    ("ticker-overlap", lambda panel: pl.concat(
        [panel, panel.filter(pl.col("symbol") == "N07").with_columns(symbol=pl.lit("N7B"))])),
]  # fmt: skip


@pytest.mark.parametrize(("check", "change"), DEFECTS, ids=[name for name, _ in DEFECTS])
def test_a_defect_of_a_table_is_found(check: str, change: Change, tmp_path: Path) -> None:
    assert check in found(audited(tmp_path, change(honest()), known_at="known_at"))


def test_scores_before_the_models_cutoff_are_told(tmp_path: Path) -> None:
    audit = audited(tmp_path, honest(), scores=("sentiment",), knowledge_cutoff="2010-06-30")
    assert found(audit) == {"language-knows-the-future"}
    assert audited(tmp_path, honest(), scores=("sentiment",), knowledge_cutoff="2001-06-30").findings == ()


def test_predictions_of_training_rows_are_found(tmp_path: Path) -> None:
    """The same rows under both names of parts, and forecasts that are fitted to what came."""
    split = forecasts()
    twice = pl.concat([split, split.filter(split="test").with_columns(split=pl.lit("train"))])
    audit = audited(tmp_path, honest(), twice)
    assert {"train-test-overlap", "quarter-overlap"} <= found(audit)
    fitted = split.join(honest().select("date", "symbol", "PM"), on=["date", "symbol"]).with_columns(
        prediction=pl.col("PM").fill_null(0.0) + 0.05 * pl.col("prediction")
    )
    told = audited(tmp_path, honest(), fitted.drop("PM")).errors
    assert [finding.check for finding in told] == ["train-test-overlap"]
    assert "signs are right where always up has" in told[0].what


def test_a_direction_is_no_relative_change(tmp_path: Path) -> None:
    panel = honest().with_columns(PM=(pl.col("PM") > 0).cast(pl.Float64))
    audit = audited(tmp_path, panel)
    assert audit.findings == ()
    ends = next(outcome for outcome in audit.outcomes if outcome.check == "label-beyond-data")
    assert "last labels of names that end: the label is no relative change" in ends.not_examined


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        ({"label": "PMM"}, ConfigError, r"panel.parquet has no column 'PMM'; did you mean 'PM'\?"),
        ({"label": "PM", "known_at": "knwn_at"}, ConfigError, r"no column 'knwn_at'; did you mean 'known_at'\?"),
        ({"label": "PM", "panel": Path("absent.csv")}, ConfigError, "there is no file absent.csv"),
        ({"label": "PM", "date": "sector"}, DataError, "holds no dates such as 2004-03-31"),
        ({"label": "PM", "part": "sector"}, ConfigError, "the column 'sector' calls parts tech; known are train"),
        ({"label": "PM", "horizon": 0}, ConfigError, "--horizon must be at least 1, got 0"),
    ],
)
def test_words_that_do_not_fit_are_refused(
    words: dict[str, object], error: type[Exception], text: str, tmp_path: Path
) -> None:
    honest().write_parquet(tmp_path / "panel.parquet")
    with pytest.raises(error, match=text):
        foreign_evidence(ForeignTable(**{"panel": tmp_path / "panel.parquet", **words}))


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    pl.concat([honest(), honest().head(3)]).write_parquet(tmp_path / "panel.parquet")
    with pytest.raises(DataError, match="6 rows that share date and symbol, such as N00 on 2003-03-31"):
        foreign_evidence(ForeignTable(panel=tmp_path / "panel.parquet", label="PM"))

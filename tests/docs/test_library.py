"""Python in the documentation: docs/library.md runs from its first block to its last, and is typed."""

import ast
import datetime as dt
import importlib
import importlib.util
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from documented import PAGES, ROOT, blocks
from mypy import api

LIBRARY = ROOT / "docs" / "library.md"
SHOWN = [(page.name, code) for page in PAGES for code in blocks(page, "python")]


def imported(code: str) -> list[ast.ImportFrom]:
    plain = "\n".join(line[4:] for line in code.splitlines() if line.startswith(">>> ")) or code
    return [node for node in ast.walk(ast.parse(plain)) if isinstance(node, ast.ImportFrom)]


@pytest.mark.parametrize(("page", "code"), SHOWN, ids=[page for page, _ in SHOWN])
def test_a_block_imports_what_there_is(page: str, code: str) -> None:
    for node in imported(code):
        if node.module and node.module.startswith("alfred"):
            module = importlib.import_module(node.module)
            for name in node.names:
                assert hasattr(module, name.name) or importlib.util.find_spec(f"{node.module}.{name.name}"), name.name


def test_the_package_says_that_it_is_typed() -> None:
    assert (files("alfred") / "py.typed").is_file()


@pytest.mark.slow
def test_the_stages_work_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {"__name__": "__main__"}
    for number, code in enumerate(blocks(LIBRARY, "python")):
        exec(compile(code, f"docs/library.md, block {number}", "exec"), known)
    assert known["panel"].values.shape == (60, 20, 5)
    # The fold that was fitted by hand is the study's first: both forecast the same.
    own = known["forecasts"].filter(pl.col("analyst") == "ridge", pl.col("as_of") < dt.date(2011, 1, 1))
    test, forecast = known["test"], known["forecast"]
    by_hand = pl.DataFrame({"as_of": test.dates, "symbol": test.symbols.astype(str), "by_hand": forecast.mean})
    both = own.join(by_hand.with_columns(pl.col("as_of").cast(pl.Date)), on=["as_of", "symbol"])
    assert len(both) == len(test) == len(own) == 120
    np.testing.assert_allclose(both["by_hand"], both["mean"], rtol=1e-12)
    card = next(card for card in known["record"].scorecards if card.analyst == "ridge")
    assert known["rank_ic"].value == pytest.approx(card.figure("rank_ic").value)
    why = known["why"]
    np.testing.assert_allclose(why.base + why.by_column.sum(axis=1) + why.history, why.forecast, rtol=1e-3)
    np.testing.assert_allclose(why.forecast, forecast.mean)
    assert known["result"].account.value[-1] > 0
    assert known["account"].value[0] == pytest.approx(1.0, abs=0.01)  # all is bought at a cost
    assert known["judged"].recommended in {"equal-weight", "cash", "inverse-volatility"}
    assert known["entry"].number == 1


@pytest.mark.slow
def test_the_blocks_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "library.py"
    script.write_text("\n".join(blocks(LIBRARY, "python")), encoding="utf-8")
    monkeypatch.chdir(ROOT)
    told, problems, code = api.run(["--strict", "--config-file", str(ROOT / "pyproject.toml"), str(script)])
    assert code == 0, told + problems

"""What windows are made by, kept without the panel: the same rows to the last bit, and nothing else is read for it."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from market import walks
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as tensor_bytes

from alfred.core.errors import DataError
from alfred.panel.build import build_panel
from alfred.panel.preparation import DESCRIPTION, NUMBERS, Preparation
from alfred.panel.settings import PanelSettings
from alfred.panel.tables import Tables
from alfred.panel.windows import WindowMaker

BARS, MARKET = walks()
SETTINGS = PanelSettings.parse({"scaling": {"Close_diff_*": "rank", "Volume*": "yeo-johnson"}}, "test")
PANEL = build_panel(Tables(BARS, MARKET), SETTINGS, levels_usable=True)
TRAIN, LAST = np.arange(10), np.array([len(PANEL.dates) - 1])
NAMES = ("A", "B", "C")


def made(quarters: int = 3) -> tuple[WindowMaker, Preparation]:
    maker = WindowMaker.fit(PANEL, TRAIN, ("A", "B"), SETTINGS, quarters)
    return maker, Preparation.of(maker)


@pytest.mark.parametrize("quarters", [1, 3])
def test_kept_and_read_again_it_makes_the_same_rows(quarters: int, tmp_path: Path) -> None:
    maker, kept = made(quarters)
    kept.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [DESCRIPTION, NUMBERS]
    again = Preparation.load(tmp_path)
    expected = maker.windows(LAST, NAMES, "PM", labelled=False)
    found = again.windows(PANEL, LAST, NAMES, "PM")
    assert again.columns == found.columns == expected.columns == maker.columns
    assert found.y is None
    for name in ("cells", "index", "dates", "symbols"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name


def test_columns_may_stand_in_another_order_with_others_among_them() -> None:
    _, kept = made()
    order = [*range(len(PANEL.features))][::-1]
    values = np.concatenate([np.ones((*PANEL.listed.shape, 1)), PANEL.values[:, :, order]], axis=2)
    other = dataclasses.replace(PANEL, features=("new", *(PANEL.features[at] for at in order)), values=values)
    assert kept.lacking(other) == ()
    assert np.array_equal(
        kept.windows(other, LAST, NAMES, "PM").cells, kept.windows(PANEL, LAST, NAMES, "PM").cells
    )  # fmt: skip


def test_a_column_that_is_not_there_is_missing_and_told() -> None:
    _, kept = made(1)
    name = "price_change_term_240"
    keep = [at for at, one in enumerate(PANEL.features) if one != name]
    fewer = dataclasses.replace(
        PANEL, features=tuple(PANEL.features[at] for at in keep), values=PANEL.values[:, :, keep]
    )
    assert kept.lacking(fewer) == (name,)
    windows = kept.windows(fewer, LAST, NAMES, "PM")
    assert not windows.x[:, :, windows.columns.index(name)].any()
    assert windows.x[:, :, windows.columns.index(f"missing:{name}")].all()


def test_later_quarters_do_not_come_along() -> None:
    _, kept = made()
    at = np.array([8])
    changed = PANEL.values.copy()
    changed[9:] = 1e6
    later = dataclasses.replace(PANEL, values=changed)
    assert np.array_equal(kept.windows(later, at, NAMES, "PM").x, kept.windows(PANEL, at, NAMES, "PM").x)


def saved(tmp_path: Path) -> Path:
    made()[1].save(tmp_path)
    return tmp_path


def rewrite(folder: Path, numbers: bytes | None = None, **changes: object) -> None:
    """Change the files so that their digest fits again."""
    form = json.loads((folder / DESCRIPTION).read_text())
    if numbers is not None:
        (folder / NUMBERS).write_bytes(numbers)
        form["numbers_sha256"] = hashlib.sha256(numbers).hexdigest()
    (folder / DESCRIPTION).write_text(json.dumps({**form, **changes}))


def changed(folder: Path, **tensors: np.ndarray) -> bytes:
    return tensor_bytes({**parse_tensors((folder / NUMBERS).read_bytes()), **tensors})


def test_files_that_are_not_its_own_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    with pytest.raises(DataError, match=r"holds no readable preparation \(FileNotFoundError\)"):
        Preparation.load(tmp_path / "absent")
    whole = (folder / NUMBERS).read_bytes()
    (folder / NUMBERS).write_bytes(whole + b" ")
    with pytest.raises(DataError, match=r"is not the file that preparation.json was written with"):
        Preparation.load(folder)
    rewrite(folder, b"not safetensors")
    with pytest.raises(DataError, match="is no safetensors file"):
        Preparation.load(folder)
    rewrite(folder, whole)
    assert Preparation.load(folder).quarters == 3
    rewrite(folder, format="alfred.preparation.9")
    with pytest.raises(DataError, match=r"not of the format alfred.preparation.1"):
        Preparation.load(folder)
    rewrite(folder, format="alfred.preparation.1", rules=["standard"], more=1)
    with pytest.raises(DataError, match="unknown setting 'more'"):
        Preparation.load(folder)
    (folder / DESCRIPTION).write_text("[")
    with pytest.raises(DataError, match=r"holds no readable preparation \(JSONDecodeError\)"):
        Preparation.load(folder)


def test_numbers_that_do_not_fit_the_columns_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    columns = len(PANEL.features)
    cases = {
        "does not belong to the .* columns beside it": {"extra": np.ones(columns)},
        r"holds center of \(2,\)": {"center": np.ones(2)},
        "holds power of": {"power": np.ones(columns, np.float32)},
        "has no scale for a column": {"spread": np.zeros(columns)},
        "holds ranks that are none": {f"ranks.{columns + 5}": np.ones((2, 3))},
    }
    whole = (folder / NUMBERS).read_bytes()
    for says, tensors in cases.items():
        rewrite(folder, changed(folder, **tensors))
        with pytest.raises(DataError, match=says):
            Preparation.load(folder)
        rewrite(folder, whole)
    for change in ({"used": [True]}, {"indicators": [[columns]]}, {"indicators": [[]]}, {"rules": ["rank"] * columns}):
        before = (folder / DESCRIPTION).read_bytes()
        rewrite(folder, **change)
        with pytest.raises(DataError, match="does not belong"):
            Preparation.load(folder)
        (folder / DESCRIPTION).write_bytes(before)
    ranked = next(at for at, name in enumerate(PANEL.features) if name.startswith("Close_diff_"))
    rewrite(folder, changed(folder, **{f"ranks.{ranked}": np.full((2, 3), np.nan)}))
    with pytest.raises(DataError, match="holds ranks that are none"):
        Preparation.load(folder)


def test_a_name_that_the_panel_does_not_hold_is_told() -> None:
    _, kept = made()
    with pytest.raises(DataError, match="the panel holds no X"):
        kept.windows(PANEL, LAST, ("X",), "PM")

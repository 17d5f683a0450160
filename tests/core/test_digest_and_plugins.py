import shutil
from pathlib import Path

import numpy as np
import pytest

import alfred
from alfred.core.digest import code_digest, digest_of
from alfred.core.errors import ConfigError
from alfred.core.plugins import plugin, plugin_names


def test_digests_follow_content_not_key_order() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1}) != digest_of({"a": 1, "b": [3]})


def test_arrays_count_with_type_and_shape() -> None:
    row = np.arange(6.0)
    assert digest_of(row) == digest_of(row.copy())
    assert len({digest_of(row), digest_of(row.reshape(2, 3)), digest_of(row.astype(np.float32))}) == 3
    assert digest_of(np.array(["AAPL", "F"])) != digest_of(np.array(["AAPL", "GE"]))


def test_neighbouring_parts_do_not_run_together() -> None:
    assert digest_of("ab", "c") != digest_of("a", "bc")


def test_the_code_digest_follows_code_that_computes_and_not_code_that_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path(alfred.__file__).parent, tmp_path / "alfred")
    monkeypatch.setattr("alfred.core.digest.files", lambda name: tmp_path / name)

    def now() -> str:
        code_digest.cache_clear()
        return code_digest()

    before = now()
    for shows in ("report/page.py", "cli/main.py"):
        (tmp_path / "alfred" / shows).write_text("changed")
    assert now() == before
    for computes in ("experiments/walkforward.py", "panel/labels.py", "backtest/engine.py"):
        (tmp_path / "alfred" / computes).write_text("changed")
        assert now() != before, computes
        before = now()
    code_digest.cache_clear()


def test_the_folder_is_the_registry() -> None:
    assert "magnitude_choice" in plugin_names("alfred.backtest.strategies")
    assert plugin("alfred.backtest.strategies", "magnitude-choice").__name__.endswith("magnitude_choice")


def test_an_unknown_plugin_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no 'simpel' among the strategies; did you mean 'simple'\?"):
        plugin("alfred.backtest.strategies", "simpel")

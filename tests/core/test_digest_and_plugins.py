import numpy as np
import pytest

from alfred.core.digest import FOLDERS, code_digest, digest_of
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


def test_every_stage_has_its_own_code_digest() -> None:
    assert len({code_digest(folder) for folder in FOLDERS}) == len(FOLDERS)


def test_the_folder_is_the_registry() -> None:
    assert "magnitude_choice" in plugin_names("alfred.backtest.strategies")
    assert plugin("alfred.backtest.strategies", "magnitude-choice").__name__.endswith("magnitude_choice")


def test_an_unknown_plugin_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no 'simpel' among the strategies; did you mean 'simple'\?"):
        plugin("alfred.backtest.strategies", "simpel")

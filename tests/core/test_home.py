"""Where things are kept, when the environment names a place that cannot be one."""

from pathlib import Path

import pytest

from alfred.core.errors import ConfigError
from alfred.core.home import home


def test_a_home_that_is_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "taken"
    place.write_text("")
    monkeypatch.setenv("ALFRED_HOME", str(place))
    with pytest.raises(ConfigError, match="taken is a file; set ALFRED_HOME to a folder"):
        home()


def test_the_home_of_a_user_who_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFRED_HOME", "~nobody-of-that-name/alfred")
    with pytest.raises(ConfigError, match="whose folder ~ means is not known"):
        home()


def test_a_home_that_is_not_there_yet_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFRED_HOME", str(tmp_path / "größer als gedacht"))
    assert home().runs == tmp_path / "größer als gedacht" / "runs"

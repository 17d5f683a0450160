import pytest
from pydantic import Field

from alfred.core.errors import AlfredError, ConfigError
from alfred.core.settings import Settings, suggestion


class Inner(Settings):
    epochs: int = Field(default=3, ge=1)


class Outer(Settings):
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    name: str


def test_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"s\.toml: unknown setting 'inner\.epoch', did you mean 'epochs'\?"):
        Outer.parse({"name": "a", "inner": {"epoch": 4}}, "s.toml")


def test_unknown_key_inside_a_list_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"'many\.0\.epcohs', did you mean 'epochs'\?"):
        Outer.parse({"name": "a", "many": [{"epcohs": 4}]}, "s.toml")


def test_every_problem_is_named_in_one_sentence() -> None:
    with pytest.raises(ConfigError) as caught:
        Outer.parse({"inner": {"epochs": 0}}, "s.toml")
    assert "setting 'name' is required but absent" in str(caught.value)
    assert "inner.epochs: input should be greater than or equal to 1, got 0" in str(caught.value)


def test_errors_are_builtins_too() -> None:
    with pytest.raises(ValueError, match="required"):
        Outer.parse({}, "here")
    assert issubclass(ConfigError, AlfredError)


def test_settings_are_frozen_and_named_by_their_values() -> None:
    one, same, other = Outer(name="a"), Outer(name="a", inner=Inner(epochs=3)), Outer(name="b")
    assert one.digest() == same.digest() != other.digest()
    with pytest.raises(ValueError, match="frozen"):
        one.name = "c"


def test_suggestion_lists_what_there_is_when_nothing_is_near() -> None:
    assert suggestion("zzz", ["ridge", "naive"]) == "known are naive, ridge."

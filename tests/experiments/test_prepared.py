"""Panels that earlier runs made: taken up for the same names alone."""

from pathlib import Path

from managed_run import managed_study

from alfred.core.home import Home
from alfred.experiments.prepared import prepare


def test_other_names_of_the_same_data_have_a_panel_of_their_own(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for training, evaluation in ((("AAPL", "GE"), ("JPM",)), (("AAPL", "PG"), ("XOM",)), (("AAPL", "GE"), ("JPM",))):
        study = managed_study(universe={"training": training, "evaluation": evaluation})
        prepared = prepare(study, home)
        assert set(prepared.panel.symbols) == {*training, *evaluation}
    assert prepared.resumed

"""A study that runs in seconds, on the sample's real prices."""

from typing import Any

from alfred.experiments.study import Study

SMALL: dict[str, Any] = {
    "name": "small",
    "seeds": [0, 1],
    "data": {"since": "2000-01-03", "until": "2014-12-31"},
    "universe": {"scan": {"training_start": "AAPL", "evaluation_start": "GE", "n": 6, "as_of": "2007-12-31"}},
    "splits": {"test_first": "2008-03-31", "test_quarters": 8, "valid_quarters": 4, "min_train_quarters": 12},
    "train": {"epochs": 6, "patience": 3, "batch_size": 64, "threads": 1},
    "analysts": [
        {"name": "momentum"},
        {"name": "ridge"},
        {"name": "vanilla.small", "size": 16, "layers": 2},
        {"name": "vanilla.small.tanh", "size": 16, "layers": 2},
    ],
    "evaluation": {"draws": 400},
}


def small_study(**changes: Any) -> Study:
    return Study.parse({**SMALL, **changes}, "small study")

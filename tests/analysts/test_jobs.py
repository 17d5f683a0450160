import numpy as np
import pytest
from planted_windows import after, planted

from alfred.analysts import AnalystSpec, make_analyst
from alfred.analysts._jobs import Job, fit_many
from alfred.core.errors import DataError
from alfred.training.settings import TrainSettings

QUICK = TrainSettings(epochs=6, batch_size=64, device="cpu", patience=2)
SPECS = (
    AnalystSpec(name="vanilla.small.tanh", size=32, layers=2),
    AnalystSpec(name="trans.small.extractors.slim", size=32, layers=1),
    AnalystSpec(name="ridge"),
)


def jobs(target):
    found = []
    for fold, rows in enumerate((200, 320)):
        learn = planted(rows, target, seed=fold)
        judge = planted(60 + fold, target, seed=5 + fold, first=after(learn))
        found += [Job(learn, judge, seed) for seed in (1, 2)]
    return found


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_many_fits_forecast_as_each_alone(spec, tmp_path):
    target = make_analyst(spec, QUICK, 1).target
    test = planted(50, target, seed=9, first=np.datetime64("2020-01-01"))
    many = fit_many(spec, QUICK, jobs(target), checkpoints=tmp_path)
    for fitted, job in zip(many, jobs(target), strict=True):
        alone = make_analyst(spec, QUICK, job.seed).fit(job.train, job.valid)
        assert np.array_equal(fitted.predict(test).mean, alone.predict(test).mean)
        assert np.array_equal(fitted.predict(test).upper, alone.predict(test).upper)
        assert fitted.record.epochs == alone.record.epochs
        assert fitted.record.best_epoch == alone.record.best_epoch
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_fit():
    assert fit_many(SPECS[0], QUICK, []) == []


def test_the_first_job_that_cannot_be_fitted_is_named():
    first, *rest = jobs("PM")
    with pytest.raises(DataError, match="there are no validation rows"):
        fit_many(SPECS[0], QUICK, [*rest, Job(first.train, first.valid.rows(np.zeros(60, bool)), 1)])

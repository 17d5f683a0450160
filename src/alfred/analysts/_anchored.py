"""Forecasts that need no learning: a figure that is known already, with its confidence from validation rows."""

from alfred.analysts._conformal import calibrate
from alfred.core.contracts import Floats, Forecast


def known_forecast(target: str, valid_figure: Floats, valid_label: Floats, figure: Floats) -> Forecast:
    """Say of each row that its label will be the figure given.

    Args:
        target: label.
        valid_figure, valid_label: (M,) figures and labels of the validation rows, which the confidence comes from.
        figure: (N,) figures of the rows to forecast.

    Raises:
        DataError: there are too few validation rows.
    """
    return calibrate(target, valid_figure, valid_label).forecast(figure)

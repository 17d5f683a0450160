"""Waiting for tracking data whose server is away."""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from alfred.core.errors import FetchError
from alfred.core.home import TRACKING_VARIABLE
from alfred.core.storage import FULL

PAUSE_S = 2.0
T = TypeVar("T")


def patiently(ask: Callable[[], T], patience_s: float) -> T:
    """Ask the tracking data again and again while their server is away.

    Raises:
        FetchError: it stays away.
        OSError: its disk is full.
    """
    begun = time.monotonic()
    while True:
        try:
            return ask()
        except FetchError as error:
            if any(words in str(error) for words in FULL):
                raise OSError(errno.ENOSPC, str(error).rstrip(".")) from None
            if time.monotonic() - begun > patience_s:
                raise FetchError(
                    f"{str(error).rstrip('.')}; waited for {patience_s / 60:.0f} minutes. Nothing is lost: put "
                    f"{TRACKING_VARIABLE} right and call again."
                ) from None
            time.sleep(PAUSE_S)

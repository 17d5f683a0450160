"""A process that finds no more room for its files, on any machine and for any user."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_room(size: int = 1024) -> Iterator[None]:
    """Let the system refuse what lies beyond so many bytes of any file, and cut it off there, as a full disk does.

    The error is another (EFBIG in place of ENOSPC) and comes from the system, through whichever library writes.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

"""How this folder's loops are compiled, and run on a few threads."""

from collections.abc import Callable
from threading import Thread
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Division by zero gives an infinite value, as in numpy. The interpreter's lock is free while a loop runs."""
    return cast("Function", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def over_blocks(loop: Callable[[int, int], object], count: int, threads: int) -> None:
    """Call `loop(first, stop)` on so many blocks of `count` items at once.

    Numba's own threads are not used: they must not be called from two threads at once, nor after a fork.
    """
    edges = [count * at // threads for at in range(threads + 1)]
    others = [Thread(target=loop, args=(edges[at], edges[at + 1])) for at in range(1, threads)]
    for thread in others:
        thread.start()
    loop(edges[0], edges[1])
    for thread in others:
        thread.join()

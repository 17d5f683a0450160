"""Workers on the machines of a Ray cluster. Ray finds room for them; the queue says what they do, as everywhere.

Only the sweep's identity travels to a worker. Each machine finds home, lake, queue and tracking data by its own
environment, which must be set before `ray start`; no address that may hold a password goes through Ray.
"""

from types import TracebackType
from typing import Any, Self

from alfred.core.errors import DataError, FetchError, MissingExtraError
from alfred.core.home import home
from alfred.experiments.sweeps.pools import THREADS
from alfred.experiments.sweeps.settings import WorkerSettings

MOST = 1000
"""Workers that are asked for at once; those that find no room wait for it, as for machines that join later."""
CANCEL_S = 20.0


class RayPool:
    """As many workers as the cluster has room for, spread over its machines.

    Args:
        address: of the cluster; "auto" finds the one that this machine belongs to.
        identity: of the sweep.
        asked: `threads` cores (default 1) and `gpus` accelerators (default 0) are reserved for each worker, and
            `number` is the most there may be.
        open_trials: that are still to be done; no more workers than these.
    """

    def __init__(self, address: str, identity: str, asked: WorkerSettings, open_trials: int) -> None:
        self._ray = _ray()
        self._address, self._identity, self._asked = address, identity, asked
        self._number = max(1, min(asked.number or MOST, open_trials, MOST))
        self._tasks: list[Any] = []

    def __enter__(self) -> Self:
        try:
            self._ray.init(address=self._address, log_to_driver=False, logging_level="ERROR", include_dashboard=None)
        except (ConnectionError, TimeoutError, RuntimeError) as error:
            raise FetchError(
                f"no Ray cluster answers at {self._address} ({type(error).__name__}); start one with `ray start "
                "--head`, or leave --ray out."
            ) from None
        cores = self._asked.threads or 1
        told = {"env_vars": dict.fromkeys(THREADS, str(cores))}
        task = self._ray.remote(_work).options(
            num_cpus=cores,
            num_gpus=self._asked.gpus or 0,
            max_retries=-1,
            scheduling_strategy="SPREAD",
            runtime_env=told,
            name=f"alfred sweep {self._identity}",
        )
        self._tasks = [task.remote(self._identity) for _ in range(self._number)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            self._ray.cancel(task)
        if self._tasks:
            self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=CANCEL_S)
        self._ray.shutdown()

    def tend(self) -> bool:
        """Whether any still works; Ray itself starts one that died again."""
        if not self._tasks:
            return False
        ended, self._tasks = self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=0)
        for one in ended:
            try:
                self._ray.get(one)
            except self._ray.exceptions.RayTaskError as error:
                raise DataError(f"a worker cannot go on: {str(error.cause).rstrip('.')}.") from None
        return bool(self._tasks)


def _work(identity: str) -> int:
    from alfred.experiments.sweeps.worker import Worker

    return Worker.of(identity, home()).work()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("--ray needs Ray, which is not installed; try: pip install 'alfred[ray]'.") from error
    return ray

"""How stages report progress without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of long work. The command line draws it; libraries and tests stay silent."""

    def start(self, task: str, total: int | None = None) -> None:
        """A task begins; `total` steps are expected, or their number is unknown."""

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:
        """`steps` more are done; `note` is a short live remark such as a loss."""

    def finish(self, task: str, note: str = "") -> None:
        """The task is over."""

    def say(self, message: str) -> None:
        """One line worth keeping, such as what was dropped and why."""


class Silent:
    """Listens to nothing."""

    def start(self, task: str, total: int | None = None) -> None:
        """Ignore it."""

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:
        """Ignore it."""

    def finish(self, task: str, note: str = "") -> None:
        """Ignore it."""

    def say(self, message: str) -> None:
        """Ignore it."""

"""What the command line shows: one console for results, one for progress and errors."""

import sys
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

WIDTH_OF_A_FILE = 120
CONTROLS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


class Screen(Console):
    """A console on which a name out of someone's file cannot move the cursor, colour the rest, or become a picture."""

    def render_str(self, text: str, **how: Any) -> Text:
        """Text of a string, its control characters replaced."""
        return super().render_str(text.translate(CONTROLS), **how)


out = Screen(highlight=False, emoji=False, width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
err = Screen(stderr=True, highlight=False, emoji=False)


class Bars:
    """Draws progress bars on the error stream; a `Progress` of the stages."""

    def __init__(self) -> None:
        self._drawn = Progress(
            TextColumn("  {task.description:<24}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=err,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._drawn.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drawn.stop()

    def start(self, task: str, total: int | None = None) -> None:
        """Open a bar."""
        self._tasks[task] = self._drawn.add_task(task, total=total, note="")

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:
        """Move it on."""
        self._drawn.update(self._tasks[task], advance=steps, note=note)

    def finish(self, task: str, note: str = "") -> None:
        """Leave it standing, done."""
        self._drawn.update(self._tasks[task], note=note)

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        self._drawn.console.print(f"[dim]{escape(message)}[/dim]", soft_wrap=True)

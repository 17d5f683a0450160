"""Every command in the documentation is one that the program takes, with options and values that it knows."""

import re
import shlex
from pathlib import Path

import click
import pytest
from documented import PAGES, console, examples
from typer.main import get_command

from alfred.cli.main import app

UNPROMPTED = re.compile(r"^(?: {4,})?(?:[A-Z_]+=\S+ )?alfred(?: [a-z-]+)+(?: |$)", re.MULTILINE)
ASSIGNED = re.compile(r"^(?:[A-Z_]+=\S+ )+")
INLINE = re.compile(r"`(alfred [^`]+)`")
PLACEHOLDER = re.compile(r"\.\.\.|\b[A-Z]{3,}\b|[|<>]|…")
"""`alfred report RUN` and `alfred data fetch | status` tell of commands in a sentence rather than give one."""
USAGE = re.compile(r" [\[{]")


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [ASSIGNED.sub("", line) for line in console(page)]
        lines = [line for line in [*lines, *examples(page)] if line.startswith("alfred ")]
        inline = [one.replace("\n", " ") for one in INLINE.findall(text)]
        given = [line for line in lines if not USAGE.search(line)]
        given += [one for one in inline if not PLACEHOLDER.search(one)]
        found += [(page.name, one) for one in dict.fromkeys(given)]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_the_program_knows_the_command(page: str, line: str) -> None:
    words = shlex.split(line.partition(" > ")[0])[1:]
    command: click.Command = get_command(app)
    context = click.Context(command, info_name="alfred")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(context, words[0])
        assert inner is not None, f"{page}: there is no command {words[0]!r} in: {line}"
        command, words = inner, words[1:]
    if not words:
        return
    if isinstance(command, click.Group):
        command.parse_args(click.Context(command), [*words, "doctor"])
        return
    try:
        command.parse_args(click.Context(command, info_name=command.name), words)
    except (click.NoSuchOption, click.BadParameter, click.BadOptionUsage) as error:
        if not isinstance(error, click.MissingParameter):
            pytest.fail(f"{page}: {line}: {error.format_message()}")
    except click.exceptions.Exit:
        pass


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "cli.md"], ids=lambda page: page.name)
def test_a_command_stands_behind_a_prompt(page: Path) -> None:
    """Only those are walked."""
    assert UNPROMPTED.findall(page.read_text(encoding="utf-8")) == []


def test_there_are_commands_to_test() -> None:
    assert len(commands()) > 120

"""What the console does with names out of files that someone else made."""

import io

from rich.table import Table

from alfred.cli.screen import Screen

NAME = "\x1b]0;owned\x07\x1b[31mred\x9b2J:bomb:"


def shown(what: object, *, terminal: bool, markup: bool = True) -> str:
    text = io.StringIO()
    Screen(file=text, force_terminal=terminal, width=60, emoji=False, highlight=False).print(what, markup=markup)
    return text.getvalue()


def test_a_name_holds_no_power_over_the_terminal() -> None:
    table = Table(box=None)
    table.add_column("name")
    table.add_row(NAME)
    for what in (NAME, table):
        for terminal in (False, True):
            text = shown(what, terminal=terminal)
            assert "red" in text
            assert ":bomb:" in text
            assert "\x1b]" not in text
            assert "\x1b[31m" not in text
            assert "\x07" not in text
            assert "\x9b" not in text


def test_our_own_colours_stay_on_a_terminal_and_nowhere_else() -> None:
    assert "\x1b[" in shown("[bold red]Error:[/] so", terminal=True)
    assert shown("[bold red]Error:[/] so", terminal=False) == "Error: so\n"
    assert shown("two\nlines\tand a tab", terminal=False).splitlines()[0] == "two"

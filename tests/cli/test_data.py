import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "lake"))
from service import Answer, Seen, Service, serving

from alfred.cli.main import app
from alfred.core.home import home
from alfred.lake.known import known_at_close
from alfred.lake.providers import fred
from alfred.lake.store import Lake

KEY = "abcdef0123456789abcdef0123456789"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.delenv("FRED_API_KEY", raising=False)

    def graph(seen: Seen) -> Answer:
        if seen.query["id"] == "GONE":
            return Answer("<html>no such series</html>", status=404)
        return Answer(f"observation_date,{seen.query['id']}\n2024-01-02,3.95\n2024-01-03,3.91\n")

    with serving() as running:
        running.on("/graph", graph)
        monkeypatch.setattr(fred, "GRAPH", f"{running.url}/graph")
        monkeypatch.setattr(fred, "API", f"{running.url}/fred")
        monkeypatch.setattr(fred, "DESCRIPTION", dataclasses.replace(fred.DESCRIPTION, requests_per_second=1e6))
        yield running


def call(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["data", *words])
    return result.exit_code, flat(result.stdout), flat(result.stderr)


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))


def test_fetch_ends_with_counts_and_status_shows_what_came(service: Service) -> None:
    code, out, err = call("fetch", "fred", "--symbols", "10year,UNRATE", "--until", "2024-01-31")
    assert (code, out) == (0, "fred: 2 done, 0 failed, 0 skipped; 4 rows came, 4 new, 0 changed. "), err
    code, out, _ = call("fetch", "fred", "--symbols", "10year,UNRATE", "--until", "2024-01-31")
    assert (code, "0 done, 0 failed, 2 skipped" in out, "--again" in out) == (0, True, True)
    assert "series fred 2 4 2024-01-02 2024-01-03" in call("status")[1]
    code, out, _ = call("status", "--symbol", "UNRATE")
    assert "series fred 1 2 2024-01-02 2024-01-03" in out
    assert "holds nothing of XYZ" in call("status", "--symbol", "XYZ")[1]


def test_failures_are_told_and_taken_up_again(service: Service) -> None:
    code, out, _ = call("fetch", "fred", "--symbols", "UNRATE,GONE")
    assert code == 0
    assert "1 done, 1 failed, 0 skipped" in out
    assert re.search(r"Failed: GONE: fred gave no usable answer at \S+/graph: status 404\. Take these up", out)
    code, out, _ = call("fetch", "fred", "--symbols", "UNRATE,GONE")
    assert (code, "Failed in an earlier call: GONE" in out) == (0, True)
    code, out, _ = call("fetch", "fred", "--symbols", "UNRATE,GONE", "--retry-failed")
    assert (code, "0 done, 1 failed, 1 skipped" in out) == (2, True)


def test_symbols_from_files_and_indexes(service: Service, tmp_path: Path) -> None:
    listed = tmp_path / "names.txt"
    listed.write_text("# rates\nUNRATE\n\nGDP  # output\n")
    assert "3 done" in call("fetch", "fred", "--symbols", f"@{listed},10year,GDP")[1]
    code, _, err = call("fetch", "yahoo", "--symbols", "@sp500")
    assert code == 2
    assert "the lake holds no members of sp500" in err
    assert "`alfred data fetch constituents`" in err
    assert "there is no file absent.txt with symbols" in call("fetch", "fred", "--symbols", "@absent.txt")[2]
    day = pl.Series([None, "2020-01-01", None]).str.to_date()
    members = pl.DataFrame({"index": "dow", "symbol": ["GDP", "OLD", "UNRATE"], "to": day, "source": "test"})
    begun = pl.Series(["2000-01-03"] * 3).str.to_date()
    Lake(home().lake).write(
        "members", members.with_columns(begun.alias("from"), known_at_close(begun).alias("known_at"))
    )
    call("fetch", "fred", "--symbols", "@dow", "--until", "2024-01-05")
    assert {seen.query["id"] for seen in service.seen[3:]} == {"GDP", "UNRATE"}


def bad_prices(folder: Path) -> None:
    days = [day for day in pl.date_range(pl.date(2024, 1, 2), pl.date(2024, 1, 12), eager=True) if day.weekday() < 5]
    lines = [f"{day},10,{8 if at == 4 else 11},9,{9 + at / 10},1000" for at, day in enumerate(days)]
    (folder / "ABC.csv").write_text("Date,Open,High,Low,Close,Volume\n" + "\n".join(lines) + "\n")


def test_check_shows_what_was_refused_and_release_takes_it_back(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    bad_prices(prices)
    code, out, err = call("fetch", "csvfile", "--path", str(prices))
    assert code == 0, err
    assert "in quarantine" in out
    code, out, _ = call("check")
    assert code == 0
    assert "high-below-low: 1 rows of 1 symbols bars ABC 2024-01-08: " in out
    assert "In quarantine: none" in call("check", "--symbol", "XYZ")[1]
    out = call("check", "--check", "high-below-low", "--examples", "0")[1]
    assert out == "In quarantine: 1 high-below-low: 1 rows of 1 symbols Warnings: none "
    assert call("release")[0] == 2
    assert "No row in quarantine fits" in call("release", "--symbol", "XYZ")[1]
    assert "Released 1 rows." in call("release", "--symbol", "ABC", "--date", "2024-01-08")[1]
    assert "In quarantine: none" in call("check")[1]


def test_an_empty_lake_says_what_to_do() -> None:
    code, out, _ = call("status")
    assert (code, "bring data in with `alfred data fetch`" in out) == (0, True)
    code, out, _ = call("check")
    assert (code, out) == (0, "In quarantine: none Warnings: none ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fetch", "yaho"), "there is no 'yaho' among the providers; did you mean 'yahoo'?"),
        (("fetch", "fred", "--since", "2024-13-01"), "'2024-13-01' is not a date; write it like 2004-03-31"),
        (("fetch", "yahoo"), "yahoo needs symbols"),
        (("fetch", "alphavantage", "--symbols", "IBM"), "set the environment variable ALPHAVANTAGE_API_KEY"),
    ],
)
def test_wrong_input_is_one_sentence(words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALPHAVANTAGE_API_KEY", raising=False)
    code, _, err = call(*words)
    assert (code, message in err) == (2, True), err


def test_the_key_is_in_no_file_and_on_no_screen(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRED_API_KEY", KEY)
    refusal = json.dumps(
        {"error_code": 400, "error_message": f"The value {KEY} for variable api_key is not registered."}
    )
    service.on("/fred/series/vintagedates", Answer(refusal, status=400))
    code, out, err = call("fetch", "fred", "--symbols", "UNRATE")
    assert code == 2
    assert "for variable api_key is not registered" in out
    assert service.seen[0].query["api_key"] == KEY
    written = [path for path in home().root.rglob("*") if path.is_file()]
    assert len(written) == 1
    assert KEY not in out + err + "".join(path.read_text() for path in written)


def test_help_teaches() -> None:
    for command in ("fetch", "status", "check", "release"):
        code, out, _ = call(command, "--help")
        assert (code, len(out) > 150) == (0, True)
    assert "@sp500" in call("fetch", "--help")[1]


def test_tidy_keeps_every_row(service: Service) -> None:
    call("fetch", "fred", "--symbols", "10year,UNRATE", "--until", "2024-01-31")
    before = call("status")[1]
    code, out, _ = call("tidy")
    assert (code, "series: tidied" in out) == (0, True)
    assert call("status")[1] == before
    assert call("tidy", "--keep-days", "0")[0] == 2

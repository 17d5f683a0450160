import dataclasses
import datetime as dt
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
from alfred.lake.providers import alphavantage, fred
from alfred.lake.store import Lake

KEY = "abcdef0123456789abcdef0123456789"
VANTAGE_KEY = "AB12CD34EF56GH78"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.delenv("FRED_API_KEY", raising=False)

    def graph(seen: Seen) -> Answer:
        if seen.query["id"] == "DGS7":
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
    code, out, err = call("fetch", "fred", "--symbols", "10year,DGS30", "--until", "2024-01-31")
    assert (code, out) == (0, "fred: 2 done, 0 failed, 0 skipped; 4 rows came, 4 new, 0 changed. "), err
    code, out, _ = call("fetch", "fred", "--symbols", "10year,DGS30", "--until", "2024-01-31")
    assert (code, "0 done, 0 failed, 2 skipped" in out, "--again" in out) == (0, True, True)
    assert "series fred 2 4 2024-01-02 2024-01-03" in call("status")[1]
    code, out, _ = call("status", "--symbol", "DGS30")
    assert "series fred 1 2 2024-01-02 2024-01-03" in out
    assert "holds nothing of XYZ" in call("status", "--symbol", "XYZ")[1]


def test_failures_are_told_and_taken_up_again(service: Service) -> None:
    code, out, _ = call("fetch", "fred", "--symbols", "DGS30,DGS7")
    assert code == 0
    assert "1 done, 1 failed, 0 skipped" in out
    assert re.search(r"Failed: DGS7: fred gave no usable answer at \S+/graph: status 404\. Take these up", out)
    code, out, _ = call("fetch", "fred", "--symbols", "DGS30,DGS7")
    assert (code, "Failed in an earlier call: DGS7" in out) == (0, True)
    code, out, _ = call("fetch", "fred", "--symbols", "DGS30,DGS7", "--retry-failed")
    assert (code, "0 done, 1 failed, 1 skipped" in out) == (2, True)


def test_symbols_from_files_and_indexes(service: Service, tmp_path: Path) -> None:
    listed = tmp_path / "names.txt"
    listed.write_text("# rates\nDGS30\n\nDGS20  # output\n")
    assert "3 done" in call("fetch", "fred", "--symbols", f"@{listed},10year,DGS20")[1]
    code, _, err = call("fetch", "yahoo", "--symbols", "@sp500")
    assert code == 2
    assert "the lake holds no members of sp500" in err
    assert "`alfred data fetch constituents`" in err
    assert "there is no file absent.txt with symbols" in call("fetch", "fred", "--symbols", "@absent.txt")[2]
    day = pl.Series([None, "2020-01-01", None]).str.to_date()
    members = pl.DataFrame({"index": "dow", "symbol": ["DGS20", "OLD", "DGS30"], "to": day, "source": "test"})
    begun = pl.Series(["2000-01-03"] * 3).str.to_date()
    Lake(home().lake).write(
        "members", members.with_columns(begun.alias("from"), known_at_close(begun).alias("known_at"))
    )
    call("fetch", "fred", "--symbols", "@dow", "--until", "2024-01-05")
    assert {seen.query["id"] for seen in service.seen[3:]} == {"DGS20", "DGS30"}


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
        (("fetch", "yahoo", "--since", "2024-02-01", "--until", "2024-01-31"), "the range is empty"),
        (("check", "--check", "high-below-lo"), "there is no check 'high-below-lo'; did you mean 'high-below-low'?"),
        (("fetch", "yahoo"), "yahoo needs symbols"),
        (("fetch", "fred", "--symbols", "10year,UNRATE"), "fred has UNRATE without a key only as revised since"),
        (("fetch", "alphavantage", "--symbols", "IBM"), "set the environment variable ALPHAVANTAGE_API_KEY"),
    ],
)
def test_wrong_input_is_one_sentence(words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALPHAVANTAGE_API_KEY", raising=False)
    monkeypatch.delenv("FRED_API_KEY", raising=False)
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


ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in VANTAGE_KEY)
FORMS = (f"apikey%3D{VANTAGE_KEY}", f"\\u003d{VANTAGE_KEY}", f"\\n{VANTAGE_KEY}", f"x{VANTAGE_KEY}y", ESCAPED)


def hostile(seen: Seen) -> Answer:
    """Answers of every kind with the key in them, as JSON that spells it in all ways."""
    told = " ".join(FORMS)
    report = '"fiscalDateEnding": "2024-03-31", "reportedDate": "2024-04-24", "reportedEPS": "1"'
    article = f'"title": "{told}", "summary": "{told}", "source": "{told}", "{told}": "{told}"'
    bodies = {
        "EARNINGS": f'{{"quarterlyEarnings": [{{{report}}}, {{"fiscalDateEnding": "{told}"}}]}}',
        "INCOME_STATEMENT": f'{{"Information": "{told}"}}',
        "INSIDER_TRANSACTIONS": '{"data": [{"transaction_date": "2024-05-03", "shares": "1", '
        f'"acquisition_or_disposal": "A", "executive_title": "{told}"}}, {{"transaction_date": "{told}"}}]}}',
        "NEWS_SENTIMENT": f'{{"feed": [{{{article}, "url": "http://e.org/?{told}", '
        f'"time_published": "20240424T200500"}}, {{{article}}}]}}',
        "LISTING_STATUS": "symbol,name,exchange,delistingDate\n"
        f"IBM,apikey%3D{VANTAGE_KEY} n{VANTAGE_KEY},x{VANTAGE_KEY}y,2024-05-03\n",
    }
    if seen.query.get("symbol") == "BAD":
        return Answer(f'{{"error": "{told}"}}', status=400)
    return Answer(bodies[seen.query["function"]])


def test_no_file_holds_a_key_that_a_service_repeats(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", VANTAGE_KEY)
    monkeypatch.setattr(alphavantage, "QUERY", f"{service.url}/query")
    fast = dataclasses.replace(alphavantage.DESCRIPTION, requests_per_second=1e6)
    monkeypatch.setattr(alphavantage, "DESCRIPTION", fast)
    service.on("/query", hostile)
    shown = "".join(map(str, call("fetch", "alphavantage", "--symbols", "IBM,BAD")))
    assert {seen.query["apikey"] for seen in service.seen} == {VANTAGE_KEY}
    assert "refused INCOME_STATEMENT: " in shown
    assert "BAD insider: alphavantage gave no usable answer" in shown
    view = Lake(home().lake).asof(dt.datetime(2099, 1, 1, tzinfo=dt.UTC))
    texts = [str(view.findings().rows()), str(view.quarantine().rows())]
    texts += [str(pl.read_parquet(path).rows()) for path in home().root.rglob("*.parquet")]
    assert "e.org/?apikey%3D[key]" in "".join(texts)
    assert "a trade needs a date" in "".join(texts)
    shown += "".join(map(str, call("check", "--examples", "100"))) + "".join(texts)
    assert (VANTAGE_KEY in shown, ESCAPED in shown) == (False, False)
    written = [path for path in home().root.rglob("*") if path.is_file()]
    assert any("_delta_log" in path.parts for path in written)
    for path in written:
        assert VANTAGE_KEY.encode() not in path.read_bytes(), path
        assert ESCAPED.encode() not in path.read_bytes(), path


def test_a_folder_with_nothing_readable_fails_in_one_sentence(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    (prices / "AAPL.csv").write_text("<!DOCTYPE html>\n<html><body>Too many requests</body></html>\n")
    code, out, _ = call("fetch", "csvfile", "--path", str(prices))
    assert (code, "No rows came, only pieces that could not be read; `alfred data check` shows each" in out) == (
        2,
        True,
    )
    assert "AAPL.csv" in call("check")[1]
    (prices / "ABC.csv").write_text("Date,Close\n2024-01-02,10\n")
    assert call("fetch", "csvfile", "--path", str(prices))[0] == 0


def test_symbols_that_no_file_has_are_told_with_those_that_are_there(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    for name in ("ABC", "XYZ"):
        (prices / f"{name}.csv").write_text("Date,Close\n2024-01-02,10\n")
    code, _, err = call("fetch", "csvfile", "--path", str(prices), "--symbols", "AAPL,MSFT")
    assert code == 2
    assert re.search(r"csvfile found no rows of AAPL, MSFT at \S+prices; the symbols there are ABC, XYZ\.", err)
    assert call("fetch", "csvfile", "--path", str(prices), "--symbols", "AAPL,ABC")[0] == 0
    assert call("fetch", "csvfile", "--path", str(prices), "--symbols", "ABC", "--since", "2025-01-02")[0] == 0


def test_the_homes_quality_settings_are_used(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    bad_prices(prices)
    home().root.mkdir(parents=True, exist_ok=True)
    (home().root / "quality.toml").write_text('[actions]\n"high-below-low" = "warn"\n')
    code, out, err = call("fetch", "csvfile", "--path", str(prices))
    assert (code, "Quality: 0 rows in quarantine" in out) == (0, True), out + err
    assert "Warnings: 1 high-below-low: 1 rows of 1 symbols" in call("check")[1]
    (home().root / "quality.toml").write_text('[actions]\n"high-below-low" = "off"\n')
    code, out, _ = call("fetch", "csvfile", "--path", str(prices))
    assert (code, "Quality:" in out) == (0, False)


def test_help_teaches() -> None:
    for command in ("fetch", "status", "check", "release"):
        code, out, _ = call(command, "--help")
        assert (code, len(out) > 150) == (0, True)
    assert "@sp500" in call("fetch", "--help")[1]


def test_tidy_keeps_every_row(service: Service) -> None:
    call("fetch", "fred", "--symbols", "10year,DGS30", "--until", "2024-01-31")
    before = call("status")[1]
    code, out, _ = call("tidy")
    assert (code, "series: tidied" in out) == (0, True)
    assert call("status")[1] == before
    assert call("tidy", "--keep-days", "0")[0] == 2

"""Sections of filings, read in pieces, put together, and kept in the lake."""

import datetime as dt
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from filing_texts import CURRENT, QUARTER, RISK_NEW

from alfred.core.errors import BudgetError, DataError, DigestError
from alfred.lake.store import Lake
from alfred.lake.tables import INSTANT
from alfred.language.comparison import compare
from alfred.language.contracts import Article, Digest, Digested, Usage
from alfred.language.filings import FilingsReport, digest_filings
from alfred.language.quotations import missing
from alfred.language.registry import make_digester
from alfred.language.research import ResearchSettings, bound_of, form_of, pieces, section_digest
from alfred.language.run import digest_articles

LATE = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
SECOND = QUARTER.replace(
    "There have been no material changes to the risk factors in our annual report.",
    f"{RISK_NEW}\nThere have been no material changes to the risk factors in our annual report.",
).replace("Gross margin improved because freight costs fell.", "Gross margin fell because freight costs rose.")


def at(day: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{day}T21:00").replace(tzinfo=dt.UTC)


def file(lake: Lake, day: str, form: str = "10-Q", text: str = QUARTER, symbol: str = "HRLW") -> None:
    """A filing as the provider edgar writes it."""
    row = {
        "article_id": f"{symbol}-{form}-{day}/doc.htm", "symbol": symbol, "published_at": at(day),
        "title": f"{symbol} {form} {day}", "url": "", "text": text, "publisher": "SEC", "known_at": at(day),
        "source": "edgar",
    }  # fmt: skip
    lake.write("articles", pl.DataFrame([row], schema_overrides={"published_at": INSTANT, "known_at": INSTANT}))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    file(made, "2020-05-04")
    file(made, "2020-08-04", text=SECOND)
    file(made, "2020-08-05", "8-K", CURRENT)
    file(made, "2020-08-06", "10-Q/A", SECOND)
    return made


def filings(lake: Lake) -> dict[str, dict]:
    return {row["article_id"]: row for row in lake.asof(LATE).filings().iter_rows(named=True)}


@dataclass
class Reader:
    """Reads a bounded text and says how long it was; fails as it is told."""

    most_characters: int = 120
    fails: str = ""
    left: int = 10**9
    name: str = "reader"
    model: str = "m"
    prompt_version: str = "1"
    knowledge_cutoff: dt.date | None = None
    concurrency: int = 1
    asked: list[str] = field(default_factory=list)

    def digest(self, article: Article, symbol: str) -> Digested:
        assert len(article.text) <= self.most_characters
        if not self.left:
            raise BudgetError("the next request could exceed the budget.")
        if self.fails and self.fails in article.article_id:
            raise DigestError("no.")
        self.left -= 1
        self.asked.append(article.article_id)
        score = len(article.text) / 1000
        return Digested(
            Digest(relevance=0.2, sentiment=score, outlook=-score, event="legal", rationale=symbol),
            Usage(prompt_tokens=100, completion_tokens=10, cost_usd=0.5),
        )


# Pieces and putting together


@given(st.text(alphabet="ab .\n", max_size=300), st.integers(5, 80))
@example("aaaa\n\n", 5)
def test_pieces_fit_and_lose_nothing(text: str, most: int) -> None:
    found = pieces(text, most)
    assert all(0 < len(one) <= most for one in found if text.strip())
    assert "".join("".join(found).split()) == "".join(text.split())


def test_pieces_are_cut_between_paragraphs_and_of_like_length() -> None:
    text = "\n\n".join(f"Sentence {number:02} of a section." for number in range(40))
    found = pieces(text, 500)
    assert "\n\n".join(found) == text
    assert len(found) == 3
    assert max(map(len, found)) < 1.3 * min(map(len, found))
    assert pieces("short", 500) == ("short",)
    assert pieces("", 500) == ()


def test_a_digester_is_handed_no_more_than_it_reads() -> None:
    assert bound_of(Reader(most_characters=300), ResearchSettings()) == 300
    assert bound_of(make_digester("lexicon", {"most_characters": 777}), ResearchSettings()) == 777
    assert bound_of(make_digester("lexicon"), ResearchSettings(piece_characters=5_000)) == 5_000


def test_scores_are_means_by_length_and_the_rest_follows_the_form() -> None:
    parts = [("a" * 30, Digest(relevance=0.1, sentiment=1, outlook=0.5, event="legal")),
             ("b" * 10, Digest(relevance=0.9, sentiment=-1, outlook=-0.5, event="product"))]  # fmt: skip
    digest = section_digest("7", "a" * 30 + "b" * 10, parts, None, "")
    assert (digest.relevance, digest.sentiment, digest.outlook, digest.event) == (1, 0.5, 0.25, "legal")
    assert section_digest("5.02", "a" * 40, parts, None, "").event == "management"


def test_the_rationale_names_what_changed_in_words_of_the_new_text() -> None:
    old = "We make clamps in Ohio. Our results were strong."
    new = f"We make clamps in Ohio. {RISK_NEW}"
    digest = section_digest(
        "1A", new, [(new, Digest(relevance=1, sentiment=0, outlook=0))], compare(old, new), "10-K of 2019-02-01"
    )
    assert digest.rationale.startswith(
        "Against the 10-K of 2019-02-01: 1 sentence added, 1 dropped, 0 edited, 1 kept ("
    )
    assert digest.quotations == (RISK_NEW,)
    assert f'New is "{RISK_NEW}"' in digest.rationale


def test_quotations_that_do_not_stand_in_the_section_are_left_out() -> None:
    read = Digest(relevance=1, sentiment=0.5, outlook=0, quotations=("We never said so.", "We make clamps"))
    digest = section_digest("7", "We make clamps in Ohio.", [("We make clamps in Ohio.", read)], None, "")
    assert digest.quotations == ("We make clamps",)


def test_forms_are_read_from_what_edgar_wrote() -> None:
    assert form_of("BRK-B 10-K 2020-12-31", "SEC") == "10-K"
    for title, publisher in (
        ("A 10-K/A 2020-12-31", "SEC"),
        ("A 10-K 2020-12-31", "Wire"),
        ("A files its 10-K", "SEC"),
    ):
        assert form_of(title, publisher) is None


# Over the lake


def test_a_section_is_compared_with_the_filing_before(lake: Lake) -> None:
    report = digest_filings(lake, make_digester("lexicon"))
    assert (report.filings, report.done, report.skipped, report.left, report.without) == (3, 3, 0, 0, 0)
    assert (report.sections, report.compared) == (8, 3)
    found = filings(lake)
    risks = found["HRLW-10-Q-2020-08-04/doc.htm#II-1A"]
    assert (risks["before"], risks["filing"]) == ("HRLW-10-Q-2020-05-04/doc.htm", "HRLW-10-Q-2020-08-04/doc.htm")
    assert (risks["kept"], risks["added"], risks["dropped"], risks["edited"]) == (1, 1, 0, 0)
    assert risks["tone_change"] < -0.3
    assert 0 < risks["jaccard"] < risks["cosine"] < 1
    assert json.loads(risks["quotations"]) == [RISK_NEW]
    talk = found["HRLW-10-Q-2020-08-04/doc.htm#I-2"]
    assert talk["tone_change"] < 0
    assert talk["outlook"] < found["HRLW-10-Q-2020-05-04/doc.htm#I-2"]["outlook"]
    assert not missing(json.loads(talk["quotations"]), SECOND)
    market = found["HRLW-10-Q-2020-08-04/doc.htm#I-3"]
    assert (market["cosine"], market["jaccard"], market["tone_change"]) == (1, 1, 0)
    first = found["HRLW-10-Q-2020-05-04/doc.htm#II-1A"]
    assert [first[name] for name in ("before", "cosine", "jaccard", "tone_change", "added")] == [None] * 5
    assert {row["form"] for row in found.values()} == {"10-Q", "8-K"}
    assert found["HRLW-8-K-2020-08-05/doc.htm#5.02"]["event"] == "management"
    assert all(row["known_at"] == row["published_at"] for row in found.values())


def test_a_second_pass_reads_nothing_and_news_of_the_past_is_taken_up(lake: Lake) -> None:
    reader = Reader()
    first = digest_filings(lake, reader)
    asked = len(reader.asked)
    assert asked == first.pieces.done > first.sections
    again = digest_filings(lake, reader)
    assert (again.done, again.skipped, again.left, len(reader.asked)) == (0, 3, 0, asked)
    # An older filing comes in: what follows it within the gap is compared anew, but its pieces were paid.
    file(lake, "2020-04-04", text=SECOND)
    third = digest_filings(lake, reader)
    assert (third.done, third.skipped) == (3, 1)
    assert {one.rpartition("#")[0] for one in reader.asked[asked:]} == {"HRLW-10-Q-2020-04-04/doc.htm"}
    assert filings(lake)["HRLW-10-Q-2020-05-04/doc.htm#I-2"]["before"] == "HRLW-10-Q-2020-04-04/doc.htm"


def test_what_was_paid_before_the_budget_ended_is_not_paid_again(lake: Lake) -> None:
    whole = Reader()
    digest_filings(lake, whole, source="edgar", symbols=["HRLW"], research=ResearchSettings(longest_gap_days=499))
    reader = Reader(left=2, prompt_version="2")
    first = digest_filings(lake, reader)
    assert first.pieces.stopped.startswith("the next request could exceed")
    assert (first.done, first.left) == (0, 3)
    reader.left = 10**9
    second = digest_filings(lake, reader)
    assert (second.done, second.left, second.pieces.skipped) == (3, 0, 2)
    assert sorted(reader.asked) == sorted(whole.asked)
    digests = (
        lake.asof(LATE).digests_of([*reader.asked, *filings(lake)]).filter(pl.col("prompt_version").str.ends_with("2"))
    )
    assert digests["cost"].sum() == pytest.approx(0.5 * len(reader.asked))
    assert digests["prompt_tokens"].sum() == 100 * len(reader.asked)


def test_a_filing_with_a_piece_that_failed_is_left_whole_for_the_next_call(lake: Lake) -> None:
    reader = Reader(fails="2020-08-04/doc.htm#II-1A")
    report = digest_filings(lake, reader)
    assert (report.done, report.left) == (2, 1)
    assert {failure.reason for failure in report.pieces.failed} == {"no."}
    assert not [name for name in filings(lake) if "2020-08-04" in name]
    reader.fails = ""
    assert digest_filings(lake, reader).done == 1
    assert len(filings(lake)) == 8


def test_the_bounds_of_dates_and_number_hold_and_earlier_filings_are_compared_with(lake: Lake) -> None:
    report = digest_filings(lake, make_digester("lexicon"), since=dt.date(2020, 6, 1), most=1)
    assert (report.filings, report.done, report.left, report.compared) == (2, 1, 1, 3)
    assert digest_filings(lake, make_digester("lexicon"), until=dt.date(2020, 5, 4)).filings == 1


def test_too_old_a_filing_and_one_of_the_same_instant_are_not_compared_with(lake: Lake) -> None:
    file(lake, "2022-08-04", text=SECOND)
    lake.write(
        "articles",
        lake.asof(LATE).articles().filter(pl.col("title").str.contains("2022")).with_columns(article_id=pl.lit("twin")),
    )
    digest_filings(lake, make_digester("lexicon"), since=dt.date(2022, 1, 1))
    found = filings(lake)
    assert len(found) == 6
    assert {row["before"] for row in found.values()} == {None}


def test_digests_of_filings_are_none_of_articles(lake: Lake) -> None:
    digest_filings(lake, make_digester("lexicon"))
    assert lake.asof(LATE).digests().is_empty()
    with pytest.raises(DataError, match="no articles"):
        digest_articles(lake, make_digester("lexicon"))
    news = {"article_id": "n", "symbol": "HRLW", "published_at": at("2020-05-05"), "title": "HRLW rose", "text": "Up.",
            "publisher": None, "known_at": at("2020-05-05"), "source": "wire"}  # fmt: skip
    lake.write("articles", pl.DataFrame([news], schema_overrides={"published_at": INSTANT, "known_at": INSTANT}))
    assert digest_articles(lake, make_digester("lexicon")).done == 1
    assert set(lake.asof(LATE).digests()["article_id"]) == {"n"}


def test_the_past_does_not_move_when_a_later_filing_comes(lake: Lake) -> None:
    digest_filings(lake, make_digester("lexicon"))
    before = lake.asof(at("2020-09-01")).filings().drop("digested_at")
    file(lake, "2020-11-04")
    digest_filings(lake, make_digester("lexicon"))
    assert lake.asof(at("2020-09-01")).filings().drop("digested_at").equals(before)
    assert lake.asof(at("2020-06-01")).filings()["before"].null_count() == 3
    assert lake.asof(dt.datetime(2020, 5, 4, 20, 59, tzinfo=dt.UTC)).filings().is_empty()


def test_a_lake_without_the_table_has_no_filings(lake: Lake) -> None:
    assert "filing_sections" not in lake.versions()
    empty = lake.asof(LATE).filings()
    assert empty.is_empty()
    assert {"cosine", "outlook", "symbol"} <= set(empty.columns)


def test_a_lake_without_filings_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no 10-K, 10-Q or 8-K as asked for; `alfred data fetch edgar`"):
        digest_filings(Lake(tmp_path / "none"), make_digester("lexicon"))


def test_a_filing_without_sections_is_told(lake: Lake) -> None:
    file(lake, "2021-01-04", "10-K", "Nothing that anyone would read.")
    report: FilingsReport = digest_filings(lake, make_digester("lexicon"), since=dt.date(2021, 1, 1))
    assert (report.done, report.without, report.sections, report.left) == (1, 1, 0, 0)

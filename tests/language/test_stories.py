# ruff: noqa: RUF001 -- marks as they are printed
"""Which articles tell one story, and which tell something new."""

import datetime as dt
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.language import _minhash
from alfred.language.registry import make_digester
from alfred.language.run import digest_articles
from alfred.language.stories import ALWAYS, StorySettings, stories, update_stories

BEGIN = dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC)
WORDS = [f"word{at}" for at in range(400)]
STORY = " ".join(WORDS[:60])
OTHER = " ".join(WORDS[100:160])


def articles(*rows: tuple[str, float, str, str]) -> pl.DataFrame:
    """Of each article its name, the day after BEGIN, the symbol and the text."""
    at = pl.Series([BEGIN + dt.timedelta(days=row[1]) for row in rows], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame(
        {
            "article_id": [row[0] for row in rows], "symbol": [row[2] for row in rows], "published_at": at,
            "known_at": at, "title": "News", "text": [row[3] for row in rows], "source": "wire",
        }
    )  # fmt: skip


def firsts(*rows: tuple[str, float, str, str], **changes: float) -> dict[str, str]:
    found = stories(articles(*rows), StorySettings(**changes))
    return dict(zip(found["article_id"], found["story"], strict=True))


def test_a_copy_belongs_to_the_first_and_others_do_not() -> None:
    rows = (
        ("c", 0.5, "A", STORY.upper().replace(" ", ", ")),
        ("b", 0.2, "A", f"<p>{STORY}</p> &amp; <b>more</b>"),
        ("a", 0.0, "A", STORY),
        ("d", 0.6, "B", STORY),
        ("e", 0.7, "A", OTHER),
        ("f", 8.0, "A", STORY),
        ("g", 8.5, "A", STORY),
    )
    assert firsts(*rows) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e", "f": "f", "g": "f"}
    found = {row["article_id"]: row["likeness"] for row in stories(articles(*rows)).iter_rows(named=True)}
    assert found == {"a": None, "b": None, "c": None, "d": None, "e": 0.0, "f": 1.0, "g": None}
    # A year later the first is forgotten.
    later = stories(articles(("a", 0, "A", STORY), ("z", 366, "A", STORY)))
    assert later["likeness"].to_list() == [None, None]


def test_stories_do_not_drift_from_copy_to_copy() -> None:
    """Each is like the one before; only those like the first are its copies."""
    texts = [" ".join(WORDS[at : at + 100]) for at in range(0, 60, 10)]
    found = firsts(*((str(at), at / 10, "A", text) for at, text in enumerate(texts)), copy_above=0.6)
    # Runs of three in common with the first: 88 of 108 (0.81), 78 of 118 (0.66), 68 of 128 (0.53).
    assert found["1"] == "0"
    assert found["3"] == "3"
    assert found["4"] == "3"


def test_headlines_count_where_there_is_no_text_and_an_empty_article_is_its_own() -> None:
    rows = articles(("a", 0, "A", ""), ("b", 1, "A", " "), ("c", 2, "A", "!"), ("d", 3, "A", "?"))
    found = stories(rows.with_columns(title=pl.lit("Orders at A rose")))
    assert found["story"].to_list() == ["a", "a", "c", "d"]
    assert stories(rows.clear()).is_empty()
    assert stories(rows.with_columns(title=pl.lit(None, pl.String), symbol=pl.lit(None, pl.String))).is_empty()


def test_sketches_estimate_the_jaccard_index_without_bias() -> None:
    rng = random.Random(5)
    errors = []
    for _ in range(300):
        one = [rng.choice(WORDS) for _ in range(150)]
        kept = rng.randrange(30, 140)
        other = one[:kept] + [rng.choice(WORDS) for _ in range(150 - kept)]
        sets = [{tuple(words[at : at + 3]) for at in range(148)} for words in (one, other)]
        exact = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        joined = [" ".join(words).encode() for words in (one, other)]
        offsets = np.array([0, len(joined[0]), len(joined[0]) + len(joined[1])])
        sketch = _minhash.sketches(np.frombuffer(b"".join(joined), np.uint8), offsets, *_minhash.factors())
        errors.append(((sketch[0] == sketch[1]).mean() - exact) / np.sqrt(exact * (1 - exact) / _minhash.SIZE))
    assert abs(np.mean(errors)) < 4 / np.sqrt(len(errors))
    assert 0.85 < np.std(errors) < 1.15


TEXTS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from("AB"), st.integers(0, 3)), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.integers(0, 20), st.randoms(use_true_random=False))
def test_nothing_published_later_moves_what_was_said(rows: list[tuple[int, str, int]], until: int, rng: object) -> None:
    pool = [STORY, f"{STORY} and more of it", OTHER, f"{OTHER} {STORY}"]
    made = articles(*((str(at), day, who, pool[text]) for at, (day, who, text) in enumerate(rows)))
    early = pl.col("known_at") <= BEGIN + dt.timedelta(days=until)
    order = list(range(len(made)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    whole = stories(made[order]).filter(early)
    assert whole.equals(stories(made.filter(early)))


def test_the_synthetic_market_s_copies_are_found() -> None:
    made = generate(SyntheticSettings(symbols=30, first_year=2005, years=6, seed=2)).tables["articles"]
    found = dict(stories(made).select("article_id", "story").iter_rows())
    copies = [name for name in found if name.endswith("-copy")]
    assert len(copies) > 50
    assert all(found[name] in {name.removesuffix("-copy"), found[name.removesuffix("-copy")]} for name in copies)
    others = [name for name in found if not name.endswith("-copy")]
    # Six sentences of a kind: the same three may come twice in a week.
    assert np.mean([found[name] != name for name in others]) < 0.01


def test_digesting_keeps_the_table_up_to_date_and_writes_only_what_changed(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = (("b", 1, "A", STORY), ("c", 2, "B", OTHER))
    lake.write("articles", articles(*rows))
    digest_articles(lake, make_digester("lexicon"), symbols=["A"])
    assert lake.asof(ALWAYS).stories()["article_id"].to_list() == ["b"]
    assert update_stories(lake) == 1
    assert update_stories(lake) == 0
    # An older article comes in late: what is now a copy of it is told so.
    lake.write("articles", articles(("a", 0, "A", STORY)))
    assert update_stories(lake, ["B"]) == 0
    assert update_stories(lake) == 2
    assert lake.asof(ALWAYS).stories()["story"].to_list() == ["a", "a", "c"]
    # Before the first was known, so was not its story.
    assert lake.asof(BEGIN + dt.timedelta(days=0.5)).stories()["article_id"].to_list() == ["a"]


@pytest.mark.parametrize("text", ["“Orders” rose — sharply ﬁrst", "été à l’usine", "注文が増えた"])
def test_other_letters_are_words_too(text: str) -> None:
    rows = (("a", 0, "A", text), ("b", 1, "A", text.upper()), ("c", 2, "A", "something else"))
    assert firsts(*rows)["b"] == "a"
    assert firsts(*rows)["c"] == "c"

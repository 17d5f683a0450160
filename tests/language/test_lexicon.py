import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from injections import article, base
from scipy.stats import spearmanr

from alfred.lake.synthetic.market import make_world
from alfred.lake.synthetic.news import BAD, GOOD
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.language._by_sentence import DAMPING
from alfred.language._events import event_of
from alfred.language._mentions import mentions
from alfred.language._tone import speaks_of_the_future, tone_of
from alfred.language.contracts import Article
from alfred.language.labelled import DECISIVE, as_article, labelled
from alfred.language.registry import make_digester
from alfred.language.text import sentences

LEXICON = make_digester("lexicon")


@pytest.mark.parametrize(
    ("sentence", "sign"),
    [
        ("Costs rose.", -1), ("Profit rose.", 1), ("Costs fell.", 1), ("Profit fell.", -1),
        ("Profit did not rise.", -1), ("Costs did not rise.", 1), ("There was no fraud.", 1),
        ("It is not profitable.", -1),
        ("The firm cut costs.", 1), ("The firm cut its dividend.", -1), ("The dividend was cut.", -1),
        ("Higher costs", -1), ("Lower costs", 1), ("A drop in orders", -1), ("A drop in complaints", 1),
        ("Profit was 4.1m, compared with 3.8m.", 1), ("Profit was 3.8m, compared with 4.1m.", -1),
        ("The loss was 3.8m, compared with 4.1m.", 1), ("Profit went from 3.8m to 4.1m.", 1),
        ("Profit was 900 million, against 1.1 billion.", -1), ("Profit was 1.1 bn against 900 mn.", 1),
        ("Profit was 5m in 2022 and 5m in 2021.", 0), ("Profit was 4m, compared with 4m.", 0),
        ("Profit beat estimates.", 1), ("Costs were above expectations.", -1), ("Sales were below estimates.", -1),
        ("The drop in sales was smaller than expected.", 1), ("The rise in sales was smaller than expected.", -1),
        ("Sales grew, but profit collapsed.", -1), ("Despite weak demand, profit soared.", 1),
        ("Growth in sales slowed.", -1), ("Growth in costs slowed.", 1), ("Gains were offset by losses.", 0),
        ("A record loss", -1), ("The Good Growth Company moved its office.", 0), ("It avoided bankruptcy.", 1),
        ("The report defines losses.", 0), ("It failed to improve margins.", -1), ("", 0),
    ],
)  # fmt: skip
def test_tone_of_hand_made_sentences(sentence: str, sign: int) -> None:
    score = tone_of(sentence).score
    assert (score > 0.15) - (score < -0.15) == sign, score


def test_but_weighs_what_follows_more() -> None:
    assert tone_of("Costs fell, but profit fell.").score < 0 < tone_of("Profit fell, but costs fell.").score


def test_degrees() -> None:
    assert (
        tone_of("Profit fell sharply.").score < tone_of("Profit fell.").score < tone_of("Profit fell slightly.").score
    )


def test_what_is_to_come() -> None:
    assert speaks_of_the_future("The company expects sales to grow next year.")
    assert not speaks_of_the_future("Sales grew.")


def test_outlook_follows_guidance_and_sentiment_the_past() -> None:
    worse_ahead = LEXICON.digest(
        article("Profit rose to a record. The company cut its outlook for next year.", ""), "X"
    )
    better_ahead = LEXICON.digest(article("Profit fell. The company raised its outlook for next year.", ""), "X")
    assert worse_ahead.digest.outlook < 0 < better_ahead.digest.outlook
    assert worse_ahead.digest.outlook < worse_ahead.digest.sentiment
    assert "The outlook rests on" in better_ahead.digest.rationale or "next year" in better_ahead.digest.rationale


def test_sentiment_by_hand() -> None:
    tone = tone_of("Profit rose.").score
    one = LEXICON.digest(article("Profit rose.", ""), "X").digest
    assert one.sentiment == pytest.approx(tone / (1 + DAMPING), abs=1e-4)
    two = LEXICON.digest(article("Profit rose. Profit rose. The board has nine members.", ""), "X").digest
    assert two.sentiment == pytest.approx(2 * tone / (2 + DAMPING), abs=1e-4)
    assert two.rationale == '2 sentences speak well and 0 ill, above all "Profit rose.".'
    assert two.quotations == ("Profit rose.",)


def test_without_a_tone() -> None:
    found = LEXICON.digest(article("The board has nine members.", ""), "X").digest
    assert (found.sentiment, found.outlook, found.rationale) == (0, 0, "No sentence has a tone.")


@given(
    st.lists(
        st.sampled_from(["The board has nine members.", "It was founded in 1950.", "Oslo is in Norway."]), max_size=9
    )
)
def test_sentences_without_a_tone_change_no_score(neutral: list[str]) -> None:
    plain = LEXICON.digest(base(), "HRLW").digest
    padded = LEXICON.digest(article("\n\n".join([base().text, *neutral])), "HRLW").digest
    assert padded == plain


@pytest.mark.parametrize(
    ("title", "body", "symbol", "relevance"),
    [
        ("AAPL rises", ["It rose."], "AAPL", 0.95),
        ("Apple rises", ["It rose."], "AAPL", 0.95),
        ("Phones sell well", ["Apple said so."], "AAPL", 0.8),
        ("Phones sell well", ["One.", "Two.", "Apple said so."], "AAPL", 0.6),
        ("Phones sell well", ["They do."], "AAPL", 0.2),
        ("Phones sell well", ["They do."], "ZZZZ", 0.5),
        ("ALL shares rise", ["They do."], "ALL", 0.5),
        ("Allstate (NYSE: ALL) rises", ["It did."], "ALL", 0.95),
        ("$F rises", ["It did."], "F", 0.95),
        ("BRK-B rises", ["It did."], "BRK.B", 0.95),
        ("Apple, $MSFT, $GOOG and $AMZN rise", ["They did."], "AAPL", 0.95 * (1 - 2 * 0.12)),
    ],
)  # fmt: skip
def test_relevance_by_where_the_company_stands(title: str, body: list[str], symbol: str, relevance: float) -> None:
    assert mentions(title, body, symbol, {"AAPL": ["Apple"]}).relevance == pytest.approx(relevance, abs=1e-4)


def test_sentences_about_others_weigh_less() -> None:
    body = ["Apple rose.", "Ford Motor Company (NYSE: F) fell.", "It was Monday."]
    assert mentions("", body, "AAPL", {"AAPL": ["Apple"]}).weights == (1.0, 0.3, 1.0)


@pytest.mark.parametrize(
    ("title", "event"),
    [
        ("Acme to acquire Widget in $2 billion takeover", "merger"),
        ("Acme cuts full-year outlook", "guidance"),
        ("Acme names new chief executive", "management"),
        ("Acme sued over patent infringement", "legal"),
        ("Acme declares quarterly dividend", "dividend"),
        ("Broker downgrades Acme, cuts price target", "rating"),
        ("Acme third-quarter earnings rise", "earnings"),
        ("FDA approves Acme drug", "product"),
        ("Acme prices convertible notes offering", "financing"),
        ("A sunny day", "other"),
    ],
)
def test_events(title: str, event: str) -> None:
    assert event_of(title, []) == event


def articles() -> list[Article]:
    world = make_world(SyntheticSettings(symbols=12, first_year=2010, years=5))
    rows = pl.concat([batch.rows for batch in world.batches(500) if batch.table == "articles"])
    columns = ("article_id", "symbol", "published_at", "title", "text")
    return [Article(*row) for row in rows.select(columns).iter_rows()]


def planted_tone(of: Article) -> float:
    """(good - bad) / 3 by the market's own sentences."""
    text = of.text.replace(of.symbol, "{}")
    return (sum(one in text for one in GOOD) - sum(one in text for one in BAD)) / 3


def test_the_synthetic_markets_tone_is_recovered() -> None:
    some = articles()
    planted = [planted_tone(one) for one in some]
    found = [LEXICON.digest(one, one.symbol).digest for one in some]
    assert len(some) > 200
    assert np.std(planted) > 0.3
    assert spearmanr(planted, [one.sentiment for one in found])[0] >= 0.6
    assert spearmanr(planted, [one.outlook for one in found])[0] >= 0.6
    untitled = [Article(one.article_id, one.symbol, one.published_at, "", one.text) for one in some]
    assert spearmanr(planted, [LEXICON.digest(one, one.symbol).digest.sentiment for one in untitled])[0] >= 0.6


def test_three_thousand_sentences_a_second() -> None:
    some = articles()[:200]
    count = sum(len(sentences(one.text)) + 1 for one in some)
    best = np.inf
    for _ in range(3):
        begin = time.process_time()
        for one in some:
            LEXICON.digest(one, one.symbol)
        best = min(best, time.process_time() - begin)
    assert count / best >= 3000


@pytest.mark.parametrize(("half", "least"), [("development", 0.95), ("held_out", 0.9)])
def test_labelled_sentences(half: str, least: float) -> None:
    rows = labelled(half)
    assert len(rows) >= 100
    assert {sum(row.label == label for row in rows) for label in (-1, 0, 1)} == {len(rows) // 3}
    scores = [LEXICON.digest(as_article(row.text, "X"), "X").digest.sentiment for row in rows]
    right = [((score > DECISIVE) - (score < -DECISIVE)) == row.label for score, row in zip(scores, rows, strict=True)]
    assert np.mean(right) >= least


def test_the_halves_share_no_sentence() -> None:
    assert not {row.text for row in labelled("development")} & {row.text for row in labelled("held_out")}

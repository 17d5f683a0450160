"""What changed between two versions of a text: sentences added, dropped, edited and kept, similarity, and tone.

Similarity is measured as by Cohen, Malloy and Nguyen (2020), "Lazy Prices", Journal of Finance 75(3): the cosine of the
counts of words, and the Jaccard similarity of the sets of words. Companies repeat what they filed before; where they do
not, something happened.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy import sparse

from alfred.language._tone import tone_of
from alfred.language.text import sentences

WORD = re.compile(r"\w+(?:[.,]\d+)*")
LETTERS = re.compile(r"[^\W\d_]+")
NEAR = 0.6
"""Jaccard similarity of their words from which two sentences are versions of one."""
LEAST_WORDS = 3
"""Shorter sentences are headings and bullets."""
DAMPING = 0.5
BLOCK = 1_000


@dataclass(frozen=True)
class Comparison:
    """A text against an earlier version of it.

    Attributes:
        cosine: of the counts of words, 0 to 1.
        jaccard: words in both over words in either, 0 to 1.
        kept: number of sentences that stand in both, wherever.
        added, dropped: sentences that stand in the new or the old text only, in their order.
        edited: pairs of an old and a new sentence that are versions of one.
        tone_change: -2 to 2, mean tone of what is new (added, and edited as it is now) less that of what is gone
            (dropped, and edited as it was). A mean is sum(s) / (n + 1/2) over the n sentences with a tone s.
    """

    cosine: float
    jaccard: float
    kept: int
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    edited: tuple[tuple[str, str], ...]
    tone_change: float

    @property
    def news(self) -> tuple[str, ...]:
        """Sentences that did not stand like this in the old text."""
        return (*self.added, *(new for _, new in self.edited))


def compare(old: str, new: str) -> Comparison:
    """Compare two cleaned texts; letters' case, marks and blanks do not count.

    A sentence that stands in both as often as it stands in either is kept; of the others, pairs that have most of
    their words in common are versions of one, the most alike first.
    """
    before, now = _sentences(old), _sentences(new)
    left, right = Counter(key for key, _ in before), Counter(key for key, _ in now)
    kept = sum((left & right).values())
    gone, come = _surplus(before, right), _surplus(now, left)
    pairs = _versions([key for key, _ in gone], [key for key, _ in come])
    edited = tuple((gone[at][1], come[to][1]) for at, to in sorted(pairs, key=lambda pair: pair[1]))
    was, became = {at for at, _ in pairs}, {to for _, to in pairs}
    added = tuple(text for at, (_, text) in enumerate(come) if at not in became)
    dropped = tuple(text for at, (_, text) in enumerate(gone) if at not in was)
    change = mean_tone((*added, *(now for _, now in edited))) - mean_tone((*dropped, *(was for was, _ in edited)))
    return Comparison(*similarity(old, new), kept, added, dropped, edited, round(change, 6))


def similarity(old: str, new: str) -> tuple[float, float]:
    """Cosine and Jaccard similarity of the words of two texts, numbers left out; 0 where one has no words."""
    a, b = (Counter(LETTERS.findall(text.casefold())) for text in (old, new))
    if not a or not b:
        return 0.0, 0.0
    # Whole numbers, so that the order of the words does not move a bit.
    dot = sum(count * b[word] for word, count in a.items())
    lengths = (sum(count * count for count in words.values()) for words in (a, b))
    cosine = dot / float(np.sqrt(float(next(lengths)) * float(next(lengths))))
    return min(round(cosine, 12), 1.0), len(a.keys() & b.keys()) / len(a.keys() | b.keys())


def mean_tone(texts: Sequence[str]) -> float:
    """Mean tone of sentences by the lexicon's words, damped; 0 where none has one."""
    scores = [score for text in texts if (score := tone_of(text).score)]
    return float(sum(sorted(scores)) / (len(scores) + DAMPING))


Keyed = tuple[str, str]


def _sentences(text: str) -> list[Keyed]:
    """Each sentence with what has to be equal for it to be the same."""
    found = ((" ".join(WORD.findall(one.casefold())), " ".join(one.split())) for one in sentences(text))
    return [(key, one) for key, one in found if key.count(" ") >= LEAST_WORDS - 1]


def _surplus(mine: Sequence[Keyed], others: Counter[str]) -> list[Keyed]:
    """Sentences that stand here more often than there; the earlier ones count as kept."""
    left = others.copy()
    surplus = []
    for key, text in mine:
        if left[key] > 0:
            left[key] -= 1
        else:
            surplus.append((key, text))
    return surplus


def _versions(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places of sentences that are versions of one; each sentence is in one pair at most."""
    if not old or not new:
        return []
    a, b = _incidence(old, new)
    sizes = np.asarray(a.sum(axis=1)).ravel(), np.asarray(b.sum(axis=1)).ravel()
    found: list[tuple[float, int, int]] = []
    for begin in range(0, len(old), BLOCK):
        common = (a[begin : begin + BLOCK] @ b.T).tocoo()
        shared = common.data / (sizes[0][common.row + begin] + sizes[1][common.col] - common.data)
        near = shared >= NEAR
        found += zip(-shared[near], common.row[near] + begin, common.col[near], strict=True)
    pairs, was, became = [], set[int](), set[int]()
    for _, at, to in sorted(found):
        if at not in was and to not in became:
            was.add(int(at))
            became.add(int(to))
            pairs.append((int(at), int(to)))
    return pairs


def _incidence(*texts: Sequence[str]) -> list[sparse.csr_array]:
    """For each list of sentences, which words are in each: 1 where they are."""
    places: dict[str, int] = {}
    words = [[sorted({places.setdefault(word, len(places)) for word in one.split()}) for one in some] for some in texts]
    arrays = []
    for some in words:
        ends = np.cumsum([0, *(len(one) for one in some)])
        columns = np.fromiter(chain.from_iterable(some), np.int64, int(ends[-1]))
        arrays.append(sparse.csr_array((np.ones(len(columns)), columns, ends), shape=(len(some), len(places))))
    return arrays

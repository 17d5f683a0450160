"""What digesters are worth: accuracy on the labelled sentences, speed, memory and cost. docs/language.md has the table.

    python benchmarks/language.py lexicon embedding

Every digester reads every sentence as an article of its own, whose text is that sentence, and its sentiment becomes
a class: positive above 0.2, negative below -0.2, neutral between. Each digester runs in a process of its own. Names may
be followed by settings as JSON: 'endpoint={"model": "qwen2.5:7b"}'.
"""

import argparse
import json
import multiprocessing
import platform
import resource
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from alfred.core.errors import AlfredError
from alfred.language.labelled import DECISIVE, Half, Labelled, as_article, labelled
from alfred.language.registry import digester_names, make_digester

SYMBOL = "LABEL"
LEAST_SECONDS = 3.0
"""Speed is measured over so much processor time at least, or one pass where that takes longer."""


@dataclass(frozen=True)
class Measured:
    """One digester on one half of the sentences.

    Attributes:
        guessed: class of each sentence, None where no valid digest came about.
        sentences_per_second: of processor time on one core; of wall time for a digester that asks a server.
        memory_mb: peak of the process, beyond what it had before the digester was made.
        cost_usd: of one pass.
        error: why it cannot run; empty where it can.
    """

    guessed: tuple[int | None, ...] = ()
    sentences_per_second: float = 0.0
    memory_mb: float = 0.0
    cost_usd: float = 0.0
    error: str = ""


def measure(name: str, settings: dict[str, Any], half: Half) -> Measured:
    """Read every sentence of a half, in this process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = labelled(half)
    try:
        digester = make_digester(name, settings)
        digester.digest(as_article(rows[0].text, SYMBOL), SYMBOL)
    except AlfredError as error:
        return Measured(error=str(error))
    guessed: list[int | None] = []
    cost = 0.0
    clock = time.perf_counter if digester.concurrency > 1 else time.process_time
    began, read = clock(), 0
    while not guessed or (clock() - began < LEAST_SECONDS and digester.concurrency == 1):
        guessed, cost = [], 0.0
        for row in rows:
            try:
                digested = digester.digest(as_article(row.text, SYMBOL), SYMBOL)
            except AlfredError:
                guessed.append(None)
                continue
            cost += digested.usage.cost_usd
            sentiment = digested.digest.sentiment
            guessed.append(0 if abs(sentiment) <= DECISIVE else 1 if sentiment > 0 else -1)
        read += len(rows)
    speed = read / max(clock() - began, 1e-9)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured(tuple(guessed), speed, (after - before) / 1024, cost)


def macro_f1(rows: Sequence[Labelled], guessed: Sequence[int | None]) -> float:
    """Mean of the three classes' F1."""
    scores = []
    for label in (-1, 0, 1):
        hit = sum(row.label == label == guess for row, guess in zip(rows, guessed, strict=True))
        told = sum(guess == label for guess in guessed)
        true = sum(row.label == label for row in rows)
        scores.append(2 * hit / (told + true) if told + true else 0.0)
    return float(np.mean(scores))


def interval(right: Sequence[bool]) -> tuple[float, float]:
    """95% interval of an accuracy by Wilson's formula."""
    n, z = len(right), 1.96
    p = sum(right) / n
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return float((middle - half) / (1 + z * z / n)), float((middle + half) / (1 + z * z / n))


def row_of(name: str, half: Half, found: Measured) -> str:
    """A line of the table."""
    if found.error:
        return f"| {name} | {half} | not run: {found.error} | | | | |"
    rows = labelled(half)
    right = [row.label == guess for row, guess in zip(rows, found.guessed, strict=True)]
    low, high = interval(right)
    accuracy = f"{np.mean(right):.2f} ({low:.2f} to {high:.2f})"
    cost = f"{found.cost_usd / len(rows) * 1000:.2f}"
    speed = (
        f"{found.sentences_per_second:,.0f}"
        if found.sentences_per_second >= 10
        else f"{found.sentences_per_second:.1f}"
    )
    f1 = macro_f1(rows, found.guessed)
    return f"| {name} | {half} | {accuracy} | {f1:.2f} | {speed} | {found.memory_mb:,.0f} | {cost} |"


def by_case(half: Half, found: Measured) -> str:
    """Share of right classes by kind of sentence."""
    right = defaultdict(list)
    for row, guess in zip(labelled(half), found.guessed, strict=True):
        right[row.case].append(row.label == guess)
    return ", ".join(f"{case} {sum(some)}/{len(some)}" for case, some in sorted(right.items()))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("digesters", nargs="*", default=["lexicon"], help=f"known: {', '.join(digester_names())}")
    wish = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, one thread.\n")
    print("| digester | sentences | accuracy (95%) | macro-F1 | sentences/s | memory MB | USD per 1,000 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    cases = []
    for asked in wish.digesters:
        name, _, settings = asked.partition("=")
        for half in ("development", "held_out"):
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                found = process.submit(measure, name, json.loads(settings or "{}"), half).result()
            print(row_of(name, half, found), flush=True)
            if found.error:
                break
            cases.append(f"{name}, {half}: {by_case(half, found)}")
    print("\n" + "\n".join(cases))


if __name__ == "__main__":
    main()

"""How fast training is: beside a plain PyTorch loop, one member beside many, and beside the bare matrix product.

    python benchmarks/training.py            # everything; the products of vanilla.medium take some minutes
    python benchmarks/training.py --small    # vanilla.small only

Ways are timed in turns within one run, and ratios are medians of each turn's ratio, so that a busy machine slows both.
"Plain" is the loop of any tutorial: a DataLoader, torch's AdamW as it comes, clipping, a validation loss an epoch.
"""

import argparse
import copy
import platform
import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from alfred.analysts import AnalystSpec, make_analyst
from alfred.analysts._network import NetworkAnalyst
from alfred.core.contracts import Windows
from alfred.training.compute import build_seeded, parameters_of
from alfred.training.loop import MAX_GRADIENT_NORM, Training, train, train_many
from alfred.training.losses import loss_function
from alfred.training.settings import TrainSettings

COLUMNS = 56
LOSS = loss_function("bce", "sigmoid")
MEMBERS = 8


def rows(count: int, first: str, seed: int) -> Windows:
    """Rows of one quarter with a planted signal."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 1, COLUMNS)).astype(np.float32)
    y = (x[:, 0, 0] - 0.5 * x[:, 0, 1] + rng.standard_normal(count) > 0).astype(float)
    names = tuple(f"column {at}" for at in range(COLUMNS))
    dates = np.datetime64(first) + np.arange(count)
    seen = np.ones((count, 1), bool)
    return Windows.of(x=x, seen=seen, columns=names, dates=dates, symbols=np.full(count, "A"), target="PQ", y=y)


def network_of(name: str, seed: int) -> nn.Module:
    """The analyst's network with its first weights."""
    analyst = make_analyst(AnalystSpec(name=name), TrainSettings(), seed)
    assert isinstance(analyst, NetworkAnalyst)
    return build_seeded(lambda: analyst.build(COLUMNS, 1), seed)


def plain(
    network: nn.Module, learn: Windows, judge: Windows, settings: TrainSettings, *, seed: int, threads: int
) -> float:
    """The tutorial's loop on the same rows in the same order; the last validation loss."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    x, seen, y = torch.from_numpy(learn.x), torch.from_numpy(learn.seen), torch.from_numpy(learn.y.astype(np.float32))
    order = torch.Generator().manual_seed(seed)
    batches = DataLoader(
        TensorDataset(x, seen, y),
        batch_size=settings.batch_size,
        sampler=Shuffled(len(y), order),
    )
    groups = [
        {"params": [w for w in network.parameters() if w.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [w for w in network.parameters() if w.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate)
    value = float("nan")
    for _ in range(settings.epochs):
        network.train()
        for inputs, mask, label in batches:
            optimiser.zero_grad()
            LOSS(network(inputs, mask), label).backward()
            nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
            optimiser.step()
        network.eval()
        with torch.no_grad():
            outputs = network(torch.from_numpy(judge.x), torch.from_numpy(judge.seen))
            value = float(LOSS(outputs, torch.from_numpy(judge.y.astype(np.float32))))
    torch.set_num_threads(before)
    return value


class Shuffled(torch.utils.data.Sampler[int]):
    """The order in which Alfred's loop takes the rows."""

    def __init__(self, count: int, order: torch.Generator) -> None:
        self._count, self._order = count, order

    def __iter__(self):
        return iter(torch.randperm(self._count, generator=self._order).tolist())

    def __len__(self) -> int:
        return self._count


def in_turns(ways: Mapping[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """Seconds of every way in every turn, after one turn that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    return seconds


def times(slower: list[float], faster: list[float]) -> str:
    """The median of the turns' ratios, and their range."""
    ratios = [a / b for a, b in zip(slower, faster, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def line(*cells: object) -> None:
    """A row of a Markdown table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def one_member(turns: int) -> None:
    """vanilla.small at batch 32: our loop and the plain one, on one core each and as torch comes."""
    settings = TrainSettings(epochs=5, batch_size=32, patience=50, device="cpu")
    learn, judge, first = rows(1000, "2000-01-03", 1), rows(200, "2020-01-01", 2), network_of("vanilla.small", 1)
    cores = torch.get_num_threads()
    seconds = in_turns(
        {
            "ours": lambda: train(copy.deepcopy(first), learn, judge, LOSS, settings, seed=1),
            "plain": lambda: plain(copy.deepcopy(first), learn, judge, settings, seed=1, threads=1),
            "plain, all cores": lambda: plain(copy.deepcopy(first), learn, judge, settings, seed=1, threads=cores),
        },
        turns,
    )
    title = "vanilla.small, batch 32, 1,000 rows x 56"
    for name, taken in seconds.items():
        what = {"ours": "our loop, 1 core", "plain": "plain loop, 1 core"}.get(name, f"plain loop, {cores} cores")
        ratio = "" if name == "ours" else times(taken, seconds["ours"])
        line(title, what, f"{statistics.median(taken) / settings.epochs * 1e3:.0f} ms an epoch", ratio)
        title = ""
    moved = copy.deepcopy(first)
    with torch.no_grad():
        for weight in moved.parameters():
            weight.mul_(1 + 1e-7)
    for epochs in (1, settings.epochs):
        some = settings.model_copy(update={"epochs": epochs})
        ours = train(copy.deepcopy(first), learn, judge, LOSS, some, seed=1).record.epochs[-1].valid_loss
        theirs = plain(copy.deepcopy(first), learn, judge, some, seed=1, threads=1)
        shaken = plain(copy.deepcopy(moved), learn, judge, some, seed=1, threads=1)
        words = f"validation loss after {epochs} epoch{'s' * (epochs > 1)}: ours from plain"
        line("", words, f"{abs(ours / theirs - 1):.0e}", "")
        line("", "plain from plain with first weights moved by 1e-7", f"{abs(shaken / theirs - 1):.0e}", "")


def many_members(turns: int) -> None:
    """Eight seeds of vanilla.small in one call, and one after another."""
    settings = TrainSettings(epochs=5, batch_size=32, patience=50, device="cpu")
    learn, judge = rows(1000, "2000-01-03", 1), rows(200, "2020-01-01", 2)
    first = [network_of("vanilla.small", seed) for seed in range(MEMBERS)]
    cores = torch.get_num_threads()
    weights: dict[str, list[torch.Tensor]] = {}

    def run(name: str, way: TrainSettings, together: bool) -> None:
        members = [Training(copy.deepcopy(net), learn, judge, seed, str(seed)) for seed, net in enumerate(first)]
        for group in [members] if together else [[member] for member in members]:
            train_many(group, LOSS, way)
        weights[name] = [nn.utils.parameters_to_vector(member.network.parameters()) for member in members]

    both = settings.model_copy(update={"threads": cores})
    seconds = in_turns(
        {
            "together": lambda: run("together", settings, True),
            "after": lambda: run("after", settings, False),
            "after, all cores": lambda: run("after, all cores", both, False),
            "plain": lambda: [
                plain(copy.deepcopy(network), learn, judge, settings, seed=seed, threads=1)
                for seed, network in enumerate(first)
            ],
        },
        turns,
    )
    words = {
        "together": f"8 members together, {cores} cores",
        "after": "one after another, 1 core each (the default)",
        "after, all cores": f"one after another, {cores} cores each",
        "plain": "plain loops one after another, 1 core each",
    }
    title = "8 x vanilla.small, batch 32"
    for name, taken in seconds.items():
        ratio = "" if name == "together" else times(taken, seconds["together"])
        line(title, words[name], f"{statistics.median(taken) / settings.epochs:.2f} s an epoch of all", ratio)
        title = ""
    equal = sum(torch.equal(a, b) for a, b in zip(weights["together"], weights["after"], strict=True))
    line("", "members equal to the last bit, together and one after another", f"{equal} of {MEMBERS}", "")


def product_rate(device: torch.device, kind: torch.dtype, width: int, batch: int) -> Callable[[], float]:
    """A function that measures floating-point operations per second of the bare product of these sizes."""
    a, b = torch.randn(batch, width, device=device, dtype=kind), torch.randn(width, width, device=device, dtype=kind)
    out = torch.empty(batch, width, device=device, dtype=kind)
    repeats = 20 if device.type == "cpu" else 200

    def measure() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(repeats):
            torch.mm(a, b, out=out)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return 2 * batch * width * width * repeats / (time.perf_counter() - begun)

    return measure


def large(name: str, batch: int, steps: int, device: str, turns: int) -> None:
    """A large network's share of the rate of its own matrix product, and the plain loop's."""
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    settings = TrainSettings(epochs=1, batch_size=batch, device=device, learning_rate=1e-4)
    learn, judge, first = rows(batch * steps, "1900-01-01", 1), rows(16, "2020-01-01", 2), network_of(name, 1)
    # Forward once, backward twice, two operations a weight; the input's gradient isn't computed.
    weights = parameters_of(first)
    operations = 6.0 * weights * len(learn)
    measure = product_rate(torch.device(device), kind, 1024, batch)
    measure()
    shares: dict[str, list[float]] = {"our loop": []} | ({"plain loop": []} if device == "cpu" else {})
    rates, losses = [], {}

    def ours() -> float:
        record = train(copy.deepcopy(first), learn, judge, LOSS, settings, seed=1).record
        losses["our loop"] = record.epochs[-1].valid_loss
        return record.seconds

    def theirs() -> float:
        network, begun = copy.deepcopy(first), time.perf_counter()
        losses["plain loop"] = plain(network, learn, judge, settings, seed=1, threads=torch.get_num_threads())
        return time.perf_counter() - begun

    for turn in range(turns + 1):
        for what, way in (("our loop", ours), ("plain loop", theirs)):
            if what not in shares:
                continue
            before = measure()
            seconds = way()
            rate = (before + measure()) / 2
            if turn:
                rates.append(rate)
                shares[what].append(operations / seconds / rate)
    title = f"{name}, batch {batch:,}, {device}"
    kind_name = str(kind).removeprefix("torch.")
    line(title, f"bare product, {kind_name}", f"{statistics.median(rates) / 1e9:,.0f} GFLOP/s", "")
    for what, found in shares.items():
        line("", f"{what}: share of it", f"{statistics.median(found):.0%}", f"({min(found):.0%} to {max(found):.0%})")
    if len(losses) == 2:
        apart = abs(losses["our loop"] / losses["plain loop"] - 1)
        line("", "validation loss, relative difference", f"{apart:.0e}", "")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="leave the large networks out")
    parser.add_argument("--turns", type=int, default=7, help="counted turns of the small cases")
    asked = parser.parse_args()
    cores = torch.get_num_threads()
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}, {cores} cores.\n")
    print("| case | what | median | times ours (range) |\n| --- | --- | --- | --- |")
    one_member(asked.turns)
    many_members(asked.turns)
    if asked.small:
        return
    large("vanilla.medium", 1024, 4, "cpu", 3)
    if torch.cuda.is_available():
        large("vanilla.large", 1024, 64, "cuda", 3)
    else:
        line("vanilla.large", "no CUDA device here: not measured", "", "")


if __name__ == "__main__":
    main()

"""What reads a sequence of quarters in front of the plain network: recurrence, convolution, attention.

An extractor takes values (B, L, W) and seen (B, L), and gives (B, asked, size): its outputs for the last `asked`
quarters. What it says of a quarter that was seen depends on that quarter and on earlier ones that were seen, and on
nothing that stands in others; how many unseen ones come before them makes no difference. Tensor operations are plain
ones, which `torch.func.vmap` can batch over stacked weights.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from alfred.analysts._plain import HEADS, PlainNetwork
from alfred.analysts._presets import Preset

QUARTERS = 12
"""History that these networks look at by default: the notes' shorter one, three years."""
SIZES = {"small": 256, "medium": 1024}
LAYERS = 10
SPAN = 5
"""Quarters that a convolution sees at once: with five, the same quarter of the year before is among them."""
ATTENTION_HEADS = 4
"""Heads of attention, or fewer where these don't divide the size."""
PLACE_SCALE = 0.5
"""Standard deviation of the first weights about a place: about that of embedded values of variance 1."""
FEED_FORWARD = 2
"""Width of an encoder layer's feed-forward part, in sizes."""


class Recurrence(nn.Module):
    """LSTM (Hochreiter and Schmidhuber 1997), with a forget gate (Gers et al. 2000) that starts open: its bias is 1.

    A quarter that was not seen leaves the state as it was, so the first one that was starts from zeros.
    """

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.read = nn.Linear(inputs, 4 * size)
        self.carry = nn.Linear(size, 4 * size, bias=False)
        with torch.no_grad():
            self.read.bias[size : 2 * size] = 1.0

    def forward(self, values: Tensor, seen: Tensor, asked: int) -> Tensor:
        """Hidden states (B, asked, size)."""
        read = self.read(values)  # (B, L, 4*size), in order the input, forget, cell and output gates
        hidden = cell = read.new_zeros(len(read), self.carry.in_features)  # (B, size)
        states = []
        for gates, there in zip(read.unbind(1), seen.unsqueeze(2).unbind(1), strict=True):  # (B, 4*size), (B, 1)
            write, keep, candidate, show = (gates + self.carry(hidden)).chunk(4, dim=1)  # (B, size) each
            fresh = keep.sigmoid() * cell + write.sigmoid() * candidate.tanh()
            cell = torch.where(there, fresh, cell)
            hidden = torch.where(there, show.sigmoid() * fresh.tanh(), hidden)
            states.append(hidden)
        return torch.stack(states[-asked:], dim=1)


class Convolution(nn.Module):
    """Causal convolution over `SPAN` quarters: a filter, with zeros before the history's beginning.

    It does not bend. A ReLU behind it kept layered networks from finding in its output what lies further back.
    """

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.kernel = nn.Linear(SPAN * inputs, size)

    def forward(self, values: Tensor, seen: Tensor, asked: int) -> Tensor:
        """Smoothed values (B, asked, size)."""
        padded = f.pad(values * seen.unsqueeze(2), (0, 0, SPAN - 1, 0))  # (B, SPAN-1+L, W)
        first = values.shape[1] - asked
        lagged = [padded[:, first + lag : first + lag + asked] for lag in range(SPAN)]  # (B, asked, W) each
        smoothed: Tensor = self.kernel(torch.cat(lagged, dim=2))  # (B, asked, SPAN*W) -> (B, asked, size)
        return smoothed


class Attention(nn.Module):
    """Scaled dot-product attention of several heads over the quarters seen so far (Vaswani et al. 2017).

    It normalises what it takes and adds what it finds to it (pre-normalisation, Xiong et al. 2020).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.heads = math.gcd(size, ATTENTION_HEADS)
        self.query = nn.Linear(size, size)
        self.key_value = nn.Linear(size, 2 * size)
        self.mix = nn.Linear(size, size)

    def forward(self, values: Tensor, seen: Tensor, asked: int) -> Tensor:
        """Values (B, asked, size), each with what it found in quarters up to its own."""
        normal = f.layer_norm(values, values.shape[2:])  # (B, L, size)
        query = self._by_head(self.query(normal[:, -asked:]))  # (B, heads, asked, width)
        key, value = map(self._by_head, self.key_value(normal).chunk(2, dim=2))  # (B, heads, L, width) each
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])  # (B, heads, asked, L)
        scores = scores.masked_fill(~_open(seen, asked).unsqueeze(1), -math.inf)
        found = scores.softmax(dim=3) @ value  # (B, heads, asked, width)
        mixed: Tensor = self.mix(found.transpose(1, 2).flatten(2))  # (B, asked, size)
        return values[:, -asked:] + mixed

    def _by_head(self, values: Tensor) -> Tensor:
        """(B, n, size) -> (B, heads, n, width)."""
        return values.reshape(*values.shape[:2], self.heads, -1).transpose(1, 2)


def _open(seen: Tensor, asked: int) -> Tensor:
    """(B, asked, L): whether a quarter may look at another, which is earlier and was seen, or is itself.

    A quarter always sees itself: a softmax over nothing is no number.
    """
    key = torch.arange(seen.shape[1], device=seen.device)
    query = key[-asked:].unsqueeze(1)  # (asked, 1)
    return (key < query) & seen.unsqueeze(1) | (key == query)


class EncoderLayer(nn.Module):
    """Attention, then two linear maps at each quarter: a layer of the transformer's encoder, without dropout."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.attention = Attention(size)
        self.widen = nn.Linear(size, FEED_FORWARD * size)
        self.narrow = nn.Linear(FEED_FORWARD * size, size)

    def forward(self, values: Tensor, seen: Tensor, asked: int) -> Tensor:
        """Values (B, asked, size)."""
        values = self.attention(values, seen, asked)
        wide = self.widen(f.layer_norm(values, values.shape[2:]))  # (B, asked, 2*size)
        narrow: Tensor = self.narrow(f.relu(wide))  # (B, asked, size)
        return values + narrow


class Encoder(nn.Module):
    """Layers of attention over embedded quarters.

    To each quarter is added what was learnt about its distance from the decision quarter, the last of the sequence.
    """

    def __init__(self, inputs: int, size: int, quarters: int, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, size)
        self.places = nn.Parameter(torch.randn(quarters, size) * PLACE_SCALE)
        self.layers = nn.ModuleList(layers)

    def forward(self, values: Tensor, seen: Tensor, asked: int) -> Tensor:
        """Values (B, asked, size); L may be less than `quarters`."""
        embedded = self.embed(values) + self.places[-values.shape[1] :]  # (B, L, size)
        return _through(self.layers, embedded, seen, asked)


def _through(layers: nn.ModuleList, values: Tensor, seen: Tensor, asked: int) -> Tensor:
    """One layer after the other, (B, asked, size): what the last is not asked for, it does not compute."""
    *first, last = layers
    for layer in first:
        values = layer(values, seen, values.shape[1])  # (B, L, size)
    output: Tensor = last(values, seen, asked)
    return output


class SideBySide(nn.Module):
    """Extractors that each read the sequence; what they say of the decision quarter, concatenated, is the plain's."""

    def __init__(self, extractors: Iterable[nn.Module], plain: PlainNetwork) -> None:
        super().__init__()
        self.extractors, self.plain = nn.ModuleList(extractors), plain

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Raw outputs (B,) for x (B, L, F) and seen (B, L)."""
        parts = [extractor(x, seen, 1) for extractor in self.extractors]  # (B, 1, size) each
        output: Tensor = self.plain(torch.cat(parts, dim=2), seen)
        return output


class Layered(nn.Module):
    """Extractors that each read what the one before made of the sequence; the last speaks of the decision quarter."""

    def __init__(self, extractors: Iterable[nn.Module], plain: PlainNetwork) -> None:
        super().__init__()
        self.extractors, self.plain = nn.ModuleList(extractors), plain

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Raw outputs (B,) for x (B, L, F) and seen (B, L)."""
        output: Tensor = self.plain(_through(self.extractors, x, seen, 1), seen)
        return output


def sequence_presets(family: str, kinds: Mapping[str, str]) -> dict[str, Preset]:
    """Presets `family.size.kind` with every head, from kinds and what is said of them."""
    return {
        f"{family}.{word}.{kind}{head.ending}": head.preset(
            f"{words}, each of {size}, before {LAYERS} layers", size, LAYERS, QUARTERS
        )
        for word, size in SIZES.items()
        for kind, words in kinds.items()
        for head in HEADS
    }

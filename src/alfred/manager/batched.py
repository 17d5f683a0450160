"""Many accounts at once, each at a decision of its own, in torch: the differentiable twin of the environment.

    env = BatchedAccounts(scene, reward=settings.reward)
    accounts = env.start(torch.zeros(64, dtype=torch.int64))
    accounts, outcome = env.step(accounts, network(env.observe(accounts)))
    outcome.reward.mean().backward()

Nothing is kept between calls: `step` takes accounts and gives the next ones. Where something asks for a gradient, or
on another device than the CPU, the step is computed in torch with every friction and limit, in float64; otherwise by
the compiled step of `backtest.course`. Both agree, which tests assert.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from alfred.backtest.course import Course, allowed_many, step_many
from alfred.backtest.limits import numbered
from alfred.core.errors import DataError
from alfred.manager import _account
from alfred.manager._projection import Bounds, nearest
from alfred.manager.contracts import Scene
from alfred.manager.encoding import FIRST, LARGEST_WEIGHT, MASK, Encoder
from alfred.manager.known import told, weights_told
from alfred.manager.reward import Memory, fresh, reward
from alfred.manager.settings import RewardSettings


class Accounts(NamedTuple):
    """What B accounts hold before a decision.

    Attributes:
        at: (B,) int64 number of the decision, D where the last period is over.
        cash: (B,) dollars.
        shares: (B, S) of the traded price series, negative for short.
        held: (B, S) weights that the decision is told.
        memory: of the rewards.
        ruined: (B,) bool; nothing is left, and steps change and pay nothing.
    """

    at: Tensor
    cash: Tensor
    shares: Tensor
    held: Tensor
    memory: Memory
    ruined: Tensor


class Outcome(NamedTuple):
    """What one period did, (B,) each, dollars unless said otherwise; 0 for accounts that were ruined before.

    Attributes:
        reward: what the period pays.
        growth: log return from `before` to `worth`, no less than log(`reward.RUIN`).
        before, after: worth before and after the trade.
        worth: at the period's end; 0 where ruined.
        traded: value of all orders.
        commission, spread, impact: paid at the trade.
        interest, dividends, delisted: gained while holding, negative where lost.
        borrow: fees paid while holding.
        weights: (B, S) held after the trade.
        ruined: bool, whether nothing is left.
    """

    reward: Tensor
    growth: Tensor
    before: Tensor
    after: Tensor
    worth: Tensor
    traded: Tensor
    commission: Tensor
    spread: Tensor
    impact: Tensor
    interest: Tensor
    dividends: Tensor
    delisted: Tensor
    borrow: Tensor
    weights: Tensor
    ruined: Tensor

    @property
    def costs(self) -> Tensor:
        """Paid at the trade."""
        return self.commission + self.spread + self.impact

    @property
    def turnover(self) -> Tensor:
        """Traded value over the worth after it (buying 100% counts 1); 0 where nothing is left."""
        return torch.where(self.after > 0.0, self.traded / torch.where(self.after > 0.0, self.after, 1.0), 0.0)


class BatchedAccounts:
    """A scene that any number of accounts may go through, each from any decision on."""

    def __init__(
        self,
        scene: Scene,
        *,
        reward: RewardSettings | None = None,
        encoder: Encoder | None = None,
        device: str | torch.device = "cpu",
        threads: int = 1,
    ) -> None:
        """Build the tables of a scene.

        Args:
            scene: the market, its frictions and limits.
            reward: what periods pay; default the log return.
            encoder: of observations, fitted on training decisions; default fitted on this scene.
            device: where the accounts are.
            threads: of the compiled step, which shares accounts among them.

        Raises:
            DataError: as `Course.of`, or a decision comes before the fill of the one before it.
        """
        self.scene = scene.span(0, len(scene))
        self.course = Course.of(self.scene.bars, scene.rows, self.scene.reality, decided=scene.decided)
        self.reward = RewardSettings() if reward is None else reward
        self.encoder = Encoder.fit(scene) if encoder is None else encoder
        self.device, self.threads = torch.device(device), threads
        self.decisions, self.names = scene.mask.shape
        self._limits = scene.reality.limits
        self._capital = scene.reality.frictions.capital_usd
        self._known = told(self.course, scene.decided)
        self._told, self._paid_out = (torch.tensor(part, device=self.device) for part in self._known)
        self._encoded = torch.tensor(self.encoder.tables(scene), device=self.device)
        self._mask = torch.tensor(scene.mask, device=self.device)
        self._open = torch.tensor(self.course.most > 0.0, device=self.device)
        self._mark = torch.tensor(self.course.mark, device=self.device)
        sectors = numbered(self.names, scene.reality.conditions.sectors)
        self._sectors = torch.tensor(sectors, device=self.device)
        self._tables: _account.Tables | None = None

    def start(self, at: Tensor, weights: Tensor | None = None) -> Accounts:
        """Accounts with the initial capital before (B,) decisions `at`, in cash or at (B, S) weights, free of costs.

        Weights of names that may not be held or cannot be traded at that fill are cash instead.
        """
        at = at.to(self.device, torch.int64)
        capital = torch.full((len(at),), self._capital, dtype=torch.float64, device=self.device)
        held = torch.zeros((len(at), self.names), dtype=torch.float64, device=self.device)
        if weights is not None:
            held = torch.where(self._mask[at] & self._open[at], weights.to(self.device, torch.float64), 0.0)
        values = held * capital[:, None]
        return Accounts(
            at=at,
            cash=capital - values.sum(dim=1),
            shares=values / self._mark[at],
            held=held,
            memory=fresh(capital),
            ruined=torch.zeros_like(at, dtype=torch.bool),
        )

    def mask(self, accounts: Accounts) -> Tensor:
        """(B, S) bool: names that may be held from the decision on; after the last, those of the last."""
        return self._mask[accounts.at.clamp(max=self.decisions - 1)]

    def observe(self, accounts: Accounts) -> Tensor:
        """(B, S, K) float32 as `Encoder` gives it, differentiable in the weights held.

        After the last period there is no decision; the features are then those of the last, the weights are new.
        """
        table = self._encoded[accounts.at.clamp(max=self.decisions - 1)]
        held = accounts.held.clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT)
        cash = (1.0 - accounts.held.sum(dim=1)).clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT)
        parts = held, table[..., MASK], cash[:, None].expand_as(held)
        return torch.cat([torch.stack([part.float() for part in parts], dim=2), table[..., FIRST:]], dim=2)

    def step(self, accounts: Accounts, target: Tensor) -> tuple[Accounts, Outcome]:
        """Trade to (B, S) target weights within mask and limits, hold until the next decision's fill, and be paid.

        Raises:
            DataError: shapes disagree, a target is not finite, or an account is past the last decision.
        """
        self._check(accounts, target)
        target = torch.where(self._mask[accounts.at], target.to(self.device, torch.float64), 0.0)
        wants = target.requires_grad or accounts.cash.requires_grad or accounts.shares.requires_grad
        if self.device.type == "cpu" and not (wants and torch.is_grad_enabled()):
            cash, shares, held, outcome = self._compiled(accounts, target)
        else:
            cash, shares, outcome = self._in_torch(accounts, target)
            held = self._held(accounts.at, outcome)
        return self._paid(
            accounts, Accounts(accounts.at + 1, cash, shares, held, accounts.memory, outcome.ruined), outcome
        )

    def _check(self, accounts: Accounts, target: Tensor) -> None:
        if target.shape != accounts.shares.shape:
            raise DataError(f"the accounts need targets of shape {tuple(accounts.shares.shape)}, got "
                            f"{tuple(target.shape)}.")  # fmt: skip
        if len(accounts.at) and int(accounts.at.max()) >= self.decisions:
            raise DataError(f"the scene's last decision is {self.decisions - 1}; start anew the accounts beyond it.")

    def _paid(self, before: Accounts, after: Accounts, out: Outcome) -> tuple[Accounts, Outcome]:
        """Pay the period, and remember what rewards must."""
        was = before.ruined
        paid, growth, memory = reward(self.reward, out.before, out.worth, before.memory)
        kept = Memory(*(torch.where(was, old, new) for old, new in zip(before.memory, memory, strict=True)))
        return after._replace(memory=kept), out._replace(
            reward=torch.where(was, 0.0, paid), growth=torch.where(was, 0.0, growth)
        )

    def _held(self, at: Tensor, out: Outcome) -> Tensor:
        """(B, S) weights that the decisions after `at` are told, as `known.weights_told` has them."""
        bought = out.weights / self._mark[at]
        values = bought * self._told[at + 1]
        worth = 1.0 - out.weights.sum(dim=1) + values.sum(dim=1) + (bought * self._paid_out[at + 1]).sum(dim=1)
        sound = ~out.ruined & (worth > 0.0)
        return torch.where(sound[:, None], values / torch.where(sound, worth, 1.0)[:, None], 0.0)

    def _compiled(self, accounts: Accounts, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Outcome]:
        """By `step_many`, on the tensors' own memory."""
        at, *given = (part.detach().numpy() for part in (accounts.at, accounts.cash, accounts.shares, target))
        steps = step_many(self.course, at, *given, threads=self.threads)
        held = torch.from_numpy(weights_told(self.course, self._known, at, steps, threads=self.threads))
        found = {name: torch.from_numpy(part) for name, part in steps._asdict().items()}
        cash, shares, none = found.pop("cash"), found.pop("shares"), torch.empty(0)
        return cash, shares, held, Outcome(reward=none, growth=none, **found)

    def _in_torch(self, accounts: Accounts, target: Tensor) -> tuple[Tensor, Tensor, Outcome]:
        """The same with a gradient. Accounts without worth go through it as dummies, so that no gradient is NaN."""
        if not bool(torch.isfinite(target).all()):
            raise DataError("target weights must be finite; use 0 for no position.")
        if self._tables is None:
            self._tables = _account.Tables.of(self.course, self.device)
        tables, at = self._tables, accounts.at
        mark, most = tables.mark[at], tables.most[at]
        before = accounts.cash + (accounts.shares * mark).sum(dim=1)
        sound = ~accounts.ruined & (before > 0.0)
        cash, shares = torch.where(sound, accounts.cash, 1.0), torch.where(sound[:, None], accounts.shares, 0.0)
        wanted = torch.where((most > 0.0) & sound[:, None], target, 0.0)
        active = (most > 0.0) & ((wanted != 0.0) | (shares != 0.0))
        worth = torch.where(sound, before, 1.0)
        found = None
        if self.device.type == "cpu":
            given = (part.detach().numpy() for part in (at, cash, shares, wanted))
            found = torch.from_numpy(allowed_many(self.course, *given))
        bounds = Bounds(self._limits, self._sectors, active)
        allowed = nearest(wanted, shares * mark / worth[:, None], bounds, found)
        fill = _account.trade(tables, at, cash, shares, allowed)
        after = before - fill.commission - fill.spread - fill.impact
        stands = sound & (after > 0.0)
        cash, shares = torch.where(stands, fill.cash, 1.0), torch.where(stands[:, None], fill.shares, 0.0)
        kept = _account.hold(tables, at, cash, shares)
        lives = stands & kept.solvent
        weights = shares * mark / torch.where(stands, after, 1.0)[:, None]

        def where(condition: Tensor, values: Tensor) -> Tensor:
            return torch.where(condition, values, 0.0)

        outcome = Outcome(
            reward=before, growth=before, before=where(sound, before), after=where(sound, after),
            worth=where(lives, kept.worth), traded=where(sound, fill.traded),
            commission=where(sound, fill.commission), spread=where(sound, fill.spread),
            impact=where(sound, fill.impact), interest=where(stands, kept.interest),
            dividends=where(stands, kept.dividends), delisted=where(stands, kept.delisted),
            borrow=where(stands, kept.borrow), weights=weights, ruined=~lives,
        )  # fmt: skip
        return where(lives, kept.cash), where(lives[:, None], kept.shares), outcome

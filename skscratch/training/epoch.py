"""Epoch: one pass of some members over the rows in mini-batches.

``Epoch.advance`` is the heart of the package: the lines of one training step stand in a row in it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..nn.tape import Array, Tape
from .objective import Objective
from .state import TrainingState
from .step import Step
from .time_limit import Pace

__all__ = ["Epoch", "StepSettings"]


@dataclass(frozen=True)
class StepSettings:
    """Settings of a training step."""

    learning_rate: float
    schedule: Callable[[float], float]  # maps progress in [0, 1] to a factor on the learning rate
    batch_size: int
    shuffle: bool = True
    alpha: float = 0.0  # L2 penalty ½ α |W|² / Σ w on the mean loss
    category_penalty: float = 0.0  # L2 penalty ½ λ |E|² / Σ w of the embeddings of categories on the mean loss
    weight_decay: float = 0.0  # decoupled: each step multiplies the weights by 1 - rate · weight_decay
    clip_norm: float | None = None
    power_t: float | None = None  # exponent of "invscaling"
    pace: Pace | None = None  # maps progress in steps to progress in steps or time, where the time is limited


class Epoch:
    """One pass of some members over the rows in mini-batches.

    Everything that is the same in each epoch (buffers, views, recorded calls) is made once, here.

    Parameters
    ----------
    objective : Objective
    state : TrainingState
    settings : StepSettings
    rng : Generator or None
        Draws the masks of dropout.
    members : slice
        The members whose parameters this epoch moves.
    """

    def __init__(
        self,
        objective: Objective,
        state: TrainingState,
        settings: StepSettings,
        rng: np.random.Generator | None,
        members: slice,
    ):
        assert state.optimizer is not None
        layout, n = objective.network.layout, len(objective)
        objective = objective.for_members(members)
        self.state, self.settings, self.rng, self.halted = state, settings, rng, False
        self.size = min(settings.batch_size, n)  # B
        self.n_batches = self.n_done = -(-n // self.size)  # n_done: steps of the last run
        parameters = state.parameters[members]  # (K, P)
        self.gradient = np.empty_like(parameters)
        last = n - self.size * (self.n_batches - 1)
        self.steps: dict[int, Step] = {}  # by number of rows
        for n_rows in {self.size, last}:
            self.steps[n_rows] = objective.step(parameters, self.gradient, n_rows, rng)
        self.weights = parameters[:, : layout.n_decayed]
        self.penalised = layout.penalised(parameters, self.gradient, settings.alpha, settings.category_penalty)
        self.total = np.maximum(objective.total_weight(), 1e-30)  # (1 or K,)
        self._decay_factor = np.array(1, parameters.dtype)
        self._regularise = self._record_regularisation()
        self._update = state.optimizer.bind(parameters, self.gradient, layout.rates(), members)
        self._project = self._record_projection(layout.bounds())

    def run(self, order: Array) -> tuple[Array, Array, float]:
        """Step through the rows in this order.

        Returns
        -------
        losses : ndarray of shape (K,)
            Mean training loss of each member, penalty included.
        first_losses : ndarray of shape (K,)
            Mean loss of the first batch with any weight, while the training has no first loss yet.
        learning_rate : float
            That of the last step.
        """
        state, progress = self.state, self.state.progress
        losses, first_losses = np.zeros(len(self.gradient)), np.full(len(self.gradient), np.nan)
        penalty = self.penalty()
        done = (progress.epoch - progress.start) * self.n_batches
        planned = max(progress.n_planned, 1) * self.n_batches
        rate, count = 0.0, state.optimizer.count if state.optimizer else 0
        pace, seen = self.settings.pace, np.zeros(1)
        for index in range(self.n_batches):
            rows = order[index * self.size : (index + 1) * self.size]
            u = (done + index) / planned if pace is None else pace((done + index) / planned)
            step, count, rate = self.steps[len(rows)], count + 1, self.learning_rate(u)
            losses += self.advance(step, rows, rate, count)
            if progress.first_loss is None and np.isnan(first_losses).any():
                weight = step.total_weight()
                np.copyto(first_losses, step.loss / weight, where=np.isnan(first_losses) & (weight > 0))
            if self.halted:
                break
            if pace is not None:
                self.n_done, seen = index + 1, seen + step.total_weight()
                if u >= 1:
                    break
        total = self.total if self.n_done == self.n_batches else np.maximum(seen, 1e-30)
        return (losses + penalty) / total, first_losses, rate

    def advance(self, step: Step, rows: Array, rate: float, count: int) -> Array:
        """Take optimizer step number `count` on these rows; return the weighted sum of their losses (K,)."""
        step.load(rows)  # gather the batch: x (1, B, d), targets (1, B, out)
        loss = step.loss_and_gradient()  # forward, loss, backward: gradient (K, P)
        self._decay_factor[()] = 1 - rate * self.settings.weight_decay
        self._regularise.run()  # L2 penalty, clipping, weight decay
        self._update(rate, count)  # one step of the optimizer on all parameters at once
        self._project.run()  # to the nearest weights within bounds, if there are any
        return loss

    def learning_rate(self, progress: float) -> float:
        """Learning rate of a step, for progress from 0 to 1."""
        settings, state = self.settings, self.state
        rate = settings.learning_rate * state.rate_factor * float(settings.schedule(min(progress, 1.0)))
        # NumPy's power overflows to infinity, where Python's raises an error
        return (
            rate
            if settings.power_t is None
            else rate / float(np.float64(state.progress.n_seen + 1) ** settings.power_t)
        )

    def penalty(self) -> Array:
        """`½ α |W|² + ½ λ |E|²` of the weights and the embeddings before the epoch, (K,)."""
        penalty = np.zeros(len(self.gradient))
        for strength, values, _ in self.penalised:
            penalty += 0.5 * strength * np.einsum("kp,kp->k", values, values)
        return penalty

    def loss_now(self) -> float:
        """Loss of one batch with the present parameters."""
        step, order = self.steps[self.size], self.state.progress.order
        assert order is not None
        step.load(order[: self.size])
        return float(np.max(step.loss_only() / np.maximum(step.total_weight(), 1e-30)))

    def _record_regularisation(self) -> Tape:
        """Record what stands between the backward pass and the update."""
        weights, settings, tape = self.weights, self.settings, Tape()
        self._record_penalties(tape)
        if settings.clip_norm is not None:
            tape.append(self._clip)
        if settings.weight_decay:
            tape.multiply(weights, self._decay_factor, out=weights)  # W *= 1 - rate · weight_decay
        return tape

    def _record_penalties(self, tape: Tape) -> None:
        """Record the gradients of the L2 penalties."""
        for strength, values, gradient in self.penalised:
            factor, pull = (strength / self.total).astype(values.dtype), np.empty_like(values)
            tape.multiply(values, factor.reshape(()) if len(factor) == 1 else factor[:, None], out=pull)
            tape.add(gradient, pull, out=gradient)  # g += α W / Σ w, or λ E / Σ w

    def _record_projection(self, bounds: tuple[Array, Array] | None) -> Tape:
        """Record what keeps weights within their bounds."""
        tape = Tape()
        if bounds is not None:
            low, high = (bound.astype(self.weights.dtype) for bound in bounds)
            tape.maximum(self.weights, low, out=self.weights)
            tape.minimum(self.weights, high, out=self.weights)
        return tape

    def _clip(self) -> None:
        """Scale each member's gradient down to the norm `clip_norm`."""
        norms = np.sqrt(np.einsum("kp,kp->k", self.gradient, self.gradient))
        factor = np.minimum(1, self.settings.clip_norm / (norms + 1e-30))
        np.multiply(self.gradient, factor[:, None], out=self.gradient)

"""L-BFGS: the whole table is one batch, whose sums are added up in chunks of rows; SciPy takes the steps."""

from time import perf_counter

import numpy as np
from scipy.optimize import Bounds, OptimizeResult, minimize

from ..nn.parameters import Layout
from ..nn.tape import Array
from .listeners import Listener, Record, warn
from .objective import Objective
from .state import TrainingState

__all__ = ["minimise"]

CHUNK = 4096  # rows at a time, which bounds the memory of the hidden layers


def minimise(
    objective: Objective,
    state: TrainingState,
    *,
    alpha: float,
    category_penalty: float,
    max_evaluations: int,
    gradient_tolerance: float,
    listener: Listener,
) -> bool:
    """Minimise the mean loss plus penalty over `state.parameters` in place; return whether it converged or was stopped.

    The sum over all members is minimised as one function; it is smallest where each of its terms is.
    """
    parameters, progress = state.parameters, state.progress
    full_batch = _FullBatch(objective, parameters, alpha, category_penalty)
    accepted = parameters.copy()  # the last iterate; trial points of the line search may be anywhere
    began, stopped = perf_counter(), False

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        if progress.epoch < progress.end:
            listener.on_epoch_begin()
        np.copyto(parameters, x.reshape(parameters.shape))
        return full_batch.value_and_gradient()

    def callback(intermediate_result: OptimizeResult) -> None:
        nonlocal stopped
        np.copyto(accepted, intermediate_result.x.reshape(parameters.shape))
        np.copyto(parameters, accepted)
        loss = float(intermediate_result.fun) / len(parameters)
        stopped = listener.on_epoch_end(Record(progress.epoch + 1, loss, float("nan"), perf_counter() - began))
        progress.finish_epoch(len(objective))
        stopped |= listener.on_epoch_counted()
        if stopped:
            raise StopIteration

    result = None
    try:
        result = minimize(
            value_and_gradient,
            parameters.ravel().astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            bounds=_bounds(objective.network.layout, len(parameters)),
            callback=callback,
            options={"maxiter": progress.end - progress.epoch, "maxfun": max_evaluations, "gtol": gradient_tolerance},
        )
    except KeyboardInterrupt:
        warn("Training interrupted by user.", UserWarning)
    np.copyto(parameters, accepted)
    return stopped or result is None or result.status == 0


def _bounds(layout: Layout, n_members: int) -> Bounds | None:
    """Bounds of all parameters of all members, (K P,), if there are any."""
    bounds = layout.bounds()
    if bounds is None:
        return None
    free = np.full(layout.size - layout.n_decayed, np.inf)
    return Bounds(np.tile(np.append(bounds[0], -free), n_members), np.tile(np.append(bounds[1], free), n_members))


class _FullBatch:
    """Loss and gradient of all rows, added up over chunks of rows."""

    def __init__(self, objective: Objective, parameters: Array, alpha: float, category_penalty: float):
        n = len(objective)
        size = n if objective.is_remote else CHUNK
        self.parameters, self.total = parameters, objective.total_weight()  # (1 or K,)
        self.gradient, self.sums = np.empty_like(parameters), np.empty_like(parameters)
        self.chunks = [np.arange(start, min(start + size, n)) for start in range(0, n, size)]
        sizes = {len(rows) for rows in self.chunks}
        self.steps = {b: objective.step(parameters, self.gradient, b, total=self.total) for b in sizes}
        self.penalised = objective.network.layout.penalised(parameters, self.sums, alpha, category_penalty)
        self.is_loaded = False

    def value_and_gradient(self) -> tuple[float, Array]:
        """Return the sum over the members of their mean loss plus penalty, and its gradient (K P,)."""
        sums, losses = self.sums, np.zeros(len(self.parameters))
        sums[...] = 0
        for rows in self.chunks:
            step = self.steps[len(rows)]
            if len(self.chunks) > 1 or not self.is_loaded:
                step.load(rows)
                self.is_loaded = True
            losses += step.loss_and_gradient()
            np.add(sums, self.gradient, out=sums)
        for strength, values, gradient in self.penalised:
            losses += 0.5 * strength * np.einsum("kp,kp->k", values, values)
            gradient += strength / self.total[:, None] * values
        return float(np.sum(losses / self.total)), sums.ravel().astype(np.float64)

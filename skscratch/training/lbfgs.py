"""L-BFGS: the whole table is one batch, its sums added up in chunks of rows, stepped by SciPy."""

from collections.abc import Callable
from time import perf_counter

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from ..estimators.callback_support import Tasks
from ..nn.losses import Loss
from ..nn.network import Network
from .listeners import warn
from .loop import Data, Record, State

__all__ = ["minimise"]

CHUNK = 4096  # rows at a time: bounds the memory of the hidden layers


def minimise(
    network: Network,
    loss: Loss,
    data: Data,
    state: State,
    *,
    alpha: float,
    max_evaluations: int,
    gradient_tolerance: float,
    monitor: Callable[[Record], bool],
    tasks: Tasks | None = None,
) -> bool:
    """Minimise the mean loss plus penalty over `state.parameters` in place; whether it converged, or was stopped.

    All members are minimised as one sum, which is smallest where each is.
    """
    tasks = tasks or Tasks()
    parameters = state.parameters
    n = len(data)
    gradient, sums = np.empty_like(parameters), np.empty_like(parameters)
    size = n if data.elsewhere else CHUNK
    chunks = [np.arange(start, min(start + size, n)) for start in range(0, n, size)]
    total = data.total()  # (1 or K,)
    sizes = {len(rows) for rows in chunks}
    steps = {size: data.step(network, loss, parameters, gradient, size, total=total) for size in sizes}
    penalised = network.layout.n_decayed
    began = perf_counter()
    n_members = len(parameters)
    accepted = parameters.copy()  # the last iterate; trial points of the line search may be anywhere
    loaded = stopped = False

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal loaded
        if state.epoch < state.end:
            tasks.begin()  # of the iteration that this is the first evaluation of
        np.copyto(parameters, x.reshape(parameters.shape))
        sums[...] = 0
        losses = np.zeros(n_members)
        for rows in chunks:
            step = steps[len(rows)]
            if len(chunks) > 1 or not loaded:
                step.load(rows)
                loaded = True
            losses += step.run()
            np.add(sums, gradient, out=sums)
        weights = parameters[:, :penalised]
        losses += 0.5 * alpha * np.einsum("kp,kp->k", weights, weights)
        sums[:, :penalised] += alpha / total[:, None] * weights
        return float(np.sum(losses / total)), sums.ravel().astype(np.float64)

    def callback(intermediate_result: OptimizeResult) -> None:
        nonlocal stopped
        np.copyto(accepted, intermediate_result.x.reshape(parameters.shape))
        np.copyto(parameters, accepted)
        mean = float(intermediate_result.fun) / n_members
        stopped = monitor(Record(state.epoch + 1, mean, float("nan"), perf_counter() - began))
        state.epoch += 1
        state.n_seen += n
        stopped |= tasks.end()
        if stopped:
            raise StopIteration

    result = None
    try:
        result = minimize(
            objective,
            parameters.ravel().astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            callback=callback,
            options={"maxiter": state.end - state.epoch, "maxfun": max_evaluations, "gtol": gradient_tolerance},
        )
    except KeyboardInterrupt:
        warn("Training interrupted by user.", UserWarning)
    np.copyto(parameters, accepted)
    return stopped or result is None or result.status == 0

"""The directional gradient check, and the small networks, tables, losses and weights it is run on."""

import numpy as np
import scipy.sparse as sp

from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.training.loop import Data, Step

N_ROWS = 7


def log_cosh(t, z):
    """A user's loss: log cosh (z - t), summed over the outputs."""
    return np.log(np.cosh(z - t)).sum(axis=1), np.tanh(z - t)


def _numbers(rng, n, n_out):
    return rng.normal(size=(n, n_out))


def _fractions(rng, n, n_out):
    return rng.uniform(0.1, 0.9, (n, n_out))


def _labels(rng, n, n_out):
    return rng.randint(0, 2, (n, n_out)) * 0.9 + 0.05


def _positive(rng, n, n_out):
    return rng.uniform(0.2, 3, (n, n_out))


def _counts(rng, n, n_out):
    return rng.poisson(1.0, (n, n_out)).astype(float)


def _shares(rng, n, n_out):
    return rng.dirichlet(np.ones(n_out), n)


def _one_column(rng, n, n_out):
    return rng.normal(size=(n, 1))


# name → (loss, link, its options, number of outputs, targets)
LOSS_CASES = {
    "log_loss logistic": ("log_loss", "logistic", {}, 1, _labels),
    "log_loss multilabel": ("log_loss", "logistic", {}, 3, _labels),
    "log_loss softmax": ("log_loss", "softmax", {}, 3, _shares),
    "squared_error": ("squared_error", None, {}, 2, _numbers),
    "squared_error logistic": ("squared_error", "logistic", {}, 1, _fractions),
    "squared_error tanh": ("squared_error", "tanh", {}, 2, _fractions),
    "squared_error softplus": ("squared_error", "softplus", {}, 1, _positive),
    "squared_error exp": ("squared_error", "exp", {}, 1, _positive),
    "squared_error softmax": ("squared_error", "softmax", {}, 3, _shares),
    "absolute_error": ("absolute_error", None, {}, 2, _numbers),
    "absolute_error exp": ("absolute_error", "exp", {}, 1, _positive),
    "huber": ("huber", None, {"huber_delta": 0.5}, 2, _numbers),
    "poisson": ("poisson", None, {}, 2, _counts),
    "gamma": ("gamma", None, {}, 2, _positive),
    "quantile": ("quantile", None, {"quantile": [0.3]}, 2, _numbers),
    "quantile softplus": ("quantile", "softplus", {"quantile": [0.8]}, 1, _positive),
    "quantile ordered": ("quantile", None, {"quantile": [0.1, 0.5, 0.7]}, 3, _one_column),
    "callable": (log_cosh, None, {}, 2, _numbers),
    "callable logistic": (log_cosh, "logistic", {}, 1, _fractions),
}


def _with_zeros(rng, n, n_members):
    """Weights (K, n): member k is blind to row k."""
    return rng.uniform(0.5, 2, (n_members, n)) * (np.arange(n) != np.arange(n_members)[:, None])


WEIGHTS = {
    "no weights": lambda rng, n, n_members: None,
    "weights": lambda rng, n, n_members: rng.uniform(0.5, 2, (1, n)),
    "weights of members, with zeros": _with_zeros,
}


def sine_cubed(x):
    return np.sin(x) + 0.1 * x**3


def sine_cubed_slope(x):
    return np.cos(x) + 0.3 * x**2


def make_case(case, rng, n=N_ROWS):
    """Loss, number of outputs and targets of one of LOSS_CASES."""
    loss, link, options, n_out, draw = LOSS_CASES[case]
    return make_loss(loss, link, **options), n_out, Targets(draw(rng, n, n_out))


def make_table(rng, n=N_ROWS, d=3, categories=(), sparse=False, offset=False, ones=False):
    """Random rows: dense, with or without a column of ones, or sparse, with or without an offset; codes too."""
    X = rng.normal(size=(n, d))
    codes = None
    if categories:
        codes = np.column_stack([rng.randint(0, count + 1, n) for count in categories]).astype(np.int32)
    if not sparse:
        return Table(np.column_stack([X, np.ones(n)]), codes, ones=True) if ones else Table(X, codes)
    X[rng.uniform(size=X.shape) < 0.5] = 0
    return Table(sp.csr_matrix(X), codes, rng.normal(size=(1, d)) if offset else None)


def make_network(rng, hidden, activation, n_out, n_members=1, d=3, categories=(), **options):
    """A network and random parameters (K, P), biases included, drawn independently of its initialisers."""
    network = build(d, categories, hidden, n_out, [activation] * len(hidden), **options)
    return network, rng.normal(0, 0.6, (n_members, network.layout.size))


def check_gradient(network, loss, data, parameters, rng, mask_seed=None, attempts=6):
    """Assert that the gradient's product with a random direction is the objective's slope along it.

    The objective is each member's weighted mean loss, summed over members.  A kink (of ReLU, |r|, ...)
    within the step shows in that slopes over two step widths disagree: then another direction is tried.
    The loss alone decides that, never the gradient, so that a wrong gradient cannot talk itself out.
    """
    parameters = parameters.copy()
    gradient = np.empty_like(parameters)
    n = len(data.table)
    masks = None if mask_seed is None else np.random.Generator(np.random.SFC64(mask_seed))
    total = data.total()
    step = Step(network, loss, parameters, gradient, data, n, masks, total)
    step.load(rng.permutation(n))
    at = parameters.copy()

    def objective(p):
        parameters[...] = p
        gradient[...] = np.nan  # whatever the backward pass does not overwrite stays NaN
        if masks is not None:
            masks.bit_generator.state = np.random.SFC64(mask_seed).state  # the same masks at each evaluation
        return float(np.sum(step.run() / total))

    objective(at)
    found = gradient.copy()
    assert np.isfinite(found).all()
    for _ in range(attempts):
        direction = rng.normal(size=at.shape)
        # what |g·d| is for a random d: slopes are compared on this scale, so that none is small by chance
        scale = np.linalg.norm(found) * np.linalg.norm(direction) / np.sqrt(at.size)
        slopes = []
        for width in (2e-6, 1e-6):
            ahead, behind = objective(at + width * direction), objective(at - width * direction)
            slopes.append((ahead - behind) / (2 * width))
        if abs(slopes[0] - slopes[1]) <= 1e-7 * max(abs(slopes[0]), scale):
            break
    else:
        raise AssertionError("the objective has a kink, or a jump, along every direction")
    # rounding of the objective (1e-16) over the width gives about 1e-10, the third derivative 1e-12
    error = abs(slopes[0] - float(np.sum(found * direction))) / scale
    assert error <= 1e-7, f"relative error {error:.1e}"


def check_case(case, rng, hidden=(4,), activation="tanh", weights="no weights", n_members=1, mask_seed=None, **options):
    """`check_gradient` of the loss `case` on random rows; `options` go to the table and the network."""
    loss, n_out, targets = make_case(case, rng)
    categories = options.pop("categories", ())
    kinds = {name: options.pop(name) for name in ("sparse", "offset", "ones") if name in options}
    table = make_table(rng, categories=categories, **kinds)
    network, parameters = make_network(rng, hidden, activation, n_out, n_members, categories=categories, **options)
    data = Data(table, targets, WEIGHTS[weights](rng, N_ROWS, n_members))
    check_gradient(network, loss, data, parameters, rng, mask_seed)

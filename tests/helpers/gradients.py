"""The directional gradient check, and the small networks, tables, losses and weights that it runs on."""

import numpy as np
import scipy.sparse as sp

from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.training.objective import Objective
from skscratch.training.step import LocalStep

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
    """Weights (K, n), of which member k has a zero for row k."""
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


def check_gradient(objective, parameters, rng, dropout_seed=None, attempts=6):
    """Assert that the product of the gradient with a random direction is the slope of the mean loss along it.

    The mean loss is each member's weighted mean, summed over the members.  At a kink (of ReLU, |r|, ...) within the
    step, the slopes over two step widths differ; then another direction is tried.  That decision uses the loss alone
    and never the gradient, so that a wrong gradient cannot pass.
    """
    parameters = parameters.copy()
    gradient = np.empty_like(parameters)
    n = len(objective)
    generator = None if dropout_seed is None else np.random.Generator(np.random.SFC64(dropout_seed))
    total = objective.total_weight()
    step = LocalStep(objective, parameters, gradient, n, generator, total)
    step.load(rng.permutation(n))
    start = parameters.copy()

    def mean_loss(p):
        parameters[...] = p
        gradient[...] = np.nan  # any value that the backward pass does not overwrite stays NaN
        if generator is not None:
            generator.bit_generator.state = np.random.SFC64(dropout_seed).state  # the same masks at each evaluation
        return float(np.sum(step.loss_and_gradient() / total))

    mean_loss(start)
    found = gradient.copy()
    assert np.isfinite(found).all()
    for _ in range(attempts):
        direction = rng.normal(size=start.shape)
        # the typical |g·d| of a random d: slopes are compared on this scale, so that none is small by chance
        scale = np.linalg.norm(found) * np.linalg.norm(direction) / np.sqrt(start.size)
        slopes = []
        for width in (2e-6, 1e-6):
            ahead, behind = mean_loss(start + width * direction), mean_loss(start - width * direction)
            slopes.append((ahead - behind) / (2 * width))
        if abs(slopes[0] - slopes[1]) <= 1e-7 * max(abs(slopes[0]), scale):
            break
    else:
        raise AssertionError("the mean loss has a kink, or a jump, along every direction")
    # rounding of the mean loss (1e-16) over the width gives about 1e-10, the third derivative 1e-12
    error = abs(slopes[0] - float(np.sum(found * direction))) / scale
    assert error <= 1e-7, f"relative error {error:.1e}"


def check_case(
    case, rng, hidden=(4,), activation="tanh", weights="no weights", n_members=1, dropout_seed=None, **options
):
    """`check_gradient` of the loss `case` on random rows; `options` go to the table and the network."""
    loss, n_out, targets = make_case(case, rng)
    categories = options.pop("categories", ())
    kinds = {name: options.pop(name) for name in ("sparse", "offset", "ones") if name in options}
    table = make_table(rng, categories=categories, **kinds)
    network, parameters = make_network(rng, hidden, activation, n_out, n_members, categories=categories, **options)
    objective = Objective(network, loss, table, targets, WEIGHTS[weights](rng, N_ROWS, n_members))
    check_gradient(objective, parameters, rng, dropout_seed)

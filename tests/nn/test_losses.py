"""Losses: values against plain formulas and scikit-learn's metrics, best constants, extremes."""

import inspect

import numpy as np
import pytest
from scipy.special import log_expit, log_softmax
from sklearn import metrics

from skscratch.encoding.numeric_targets import target_scale
from skscratch.nn import losses as losses_module
from skscratch.nn.links import LINKS
from skscratch.nn.losses import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, Loss, make_loss
from tests.helpers.gradients import LOSS_CASES, log_cosh, make_case


def evaluate(loss, z, t):
    """Loss of each row (K, B) and gradient (K, B, out)."""
    dz = np.full_like(z, np.nan)
    rows, tape = loss.bind(z, t[None], dz)
    tape.run()
    assert rows.shape == (*z.shape[:2], 1) and rows.dtype == dz.dtype == z.dtype
    return rows[..., 0], dz


def targets(case, n=40):
    rng = np.random.RandomState(3)
    loss, n_out, drawn = make_case(case, rng, n)
    return loss, rng.normal(size=(2, n, n_out)), drawn.values


@pytest.mark.parametrize("case", LOSS_CASES)
def test_gradient_of_every_raw_score(case):
    loss, z, t = targets(case)
    _, dz = evaluate(loss, z, t)
    width = 1e-6
    for j in range(z.shape[-1]):
        step = width * np.eye(z.shape[-1])[j]
        ahead, behind = evaluate(loss, z + step, t)[0], evaluate(loss, z - step, t)[0]
        # 1e-16 of a loss of up to 20 over the width; the points of this seed lie further than that from any kink
        np.testing.assert_allclose(dz[..., j], (ahead - behind) / (2 * width), rtol=0, atol=1e-8)


@pytest.mark.parametrize("case", LOSS_CASES)
def test_evaluating_again_gives_the_same_bits_and_leaves_the_input(case):
    loss, z, t = targets(case)
    kept, dz = (z.copy(), t.copy()), np.empty_like(z)
    rows, tape = loss.bind(z, t[None], dz)
    tape.run()
    first = rows.copy(), dz.copy()
    dz[...], rows[...] = np.nan, np.nan
    tape.run()
    for now, then in zip((rows, dz, z, t), (*first, *kept), strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("case", [case for case in LOSS_CASES if not case.startswith("callable")])
def test_single_precision_is_close_to_double(case):
    loss, z, t = targets(case)
    wide = evaluate(loss, z, t)
    narrow = evaluate(loss, z.astype(np.float32), t.astype(np.float32))
    for a, b in zip(narrow, wide, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)  # some ten roundings of 6e-8 of numbers up to 20


@pytest.mark.parametrize("case", LOSS_CASES)
def test_no_loss_is_negative(case):
    if case in ("log_loss softmax", "poisson", "gamma"):
        assert (evaluate(*targets(case))[0] >= 0).all()
    else:
        assert (evaluate(*targets(case))[0] > 0).all()


def both_members(metric, z):
    return [metric(member) for member in z]


@pytest.mark.parametrize("case", ["log_loss logistic", "log_loss multilabel"])
def test_logistic_log_loss_is_its_formula(case):
    loss, z, t = targets(case)
    expected = -(t * log_expit(z) + (1 - t) * log_expit(-z)).sum(axis=-1)
    np.testing.assert_allclose(evaluate(loss, z, t)[0], expected, rtol=1e-13)


@pytest.mark.parametrize("n_classes", [losses_module.MANY_CLASSES - 1, losses_module.MANY_CLASSES])
def test_softmax_of_many_classes_is_the_same_formula(n_classes):
    rng = np.random.RandomState(0)
    z, t = rng.normal(size=(3, 7, n_classes)), rng.dirichlet(np.ones(n_classes), 7)
    rows, dz = evaluate(make_loss("log_loss", "softmax"), z, t)
    np.testing.assert_allclose(rows, -(t * log_softmax(z, axis=-1)).sum(axis=-1), rtol=1e-13)
    np.testing.assert_allclose(dz, np.exp(log_softmax(z, axis=-1)) - t, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("n_classes", [5, losses_module.MANY_CLASSES])
def test_softmax_has_no_denormal_gradients(n_classes):
    z = np.random.RandomState(0).uniform(-200, 0, (2, 50, n_classes)).astype(np.float32)
    t = np.eye(n_classes, dtype=np.float32)[np.arange(50) % n_classes]
    rows, dz = evaluate(make_loss("log_loss", "softmax"), z, t)
    np.testing.assert_allclose(rows, -(t * log_softmax(z.astype(float), axis=-1)).sum(axis=-1), rtol=1e-5, atol=1e-5)
    assert abs(dz[dz != 0]).min() > 1e-30


def test_softmax_log_loss_is_its_formula():
    loss, z, t = targets("log_loss softmax")
    np.testing.assert_allclose(evaluate(loss, z, t)[0], -(t * log_softmax(z, axis=-1)).sum(axis=-1), rtol=1e-13)


def test_hard_log_loss_is_scikit_learns():
    rng = np.random.RandomState(0)
    z, y = rng.normal(0, 3, (1, 30, 4)), rng.randint(0, 4, 30)
    found = evaluate(make_loss("log_loss", "softmax"), z, np.eye(4)[y])[0].mean()
    assert found == pytest.approx(metrics.log_loss(y, LINKS["softmax"].apply(z[0]), labels=range(4)), rel=1e-13)


@pytest.mark.parametrize(
    ("case", "metric"),
    [
        ("squared_error", lambda t, p: 0.5 * metrics.mean_squared_error(t, p) * t.shape[1]),
        ("squared_error softmax", lambda t, p: 0.5 * metrics.mean_squared_error(t, p) * t.shape[1]),
        ("absolute_error", lambda t, p: metrics.mean_absolute_error(t, p) * t.shape[1]),
        ("absolute_error exp", lambda t, p: metrics.mean_absolute_error(t, p)),
        ("poisson", lambda t, p: 0.5 * metrics.mean_poisson_deviance(t.ravel(), p.ravel()) * t.shape[1]),
        ("gamma", lambda t, p: 0.5 * metrics.mean_gamma_deviance(t.ravel(), p.ravel()) * t.shape[1]),
        ("quantile", lambda t, p: metrics.mean_pinball_loss(t, p, alpha=0.3) * t.shape[1]),
        ("quantile softplus", lambda t, p: metrics.mean_pinball_loss(t, p, alpha=0.8)),
        (
            "quantile ordered",
            lambda t, p: np.mean(
                [metrics.mean_pinball_loss(t[:, 0], p[:, j], alpha=q) for j, q in enumerate((0.1, 0.5, 0.7))]
            ),
        ),
    ],
)
def test_mean_loss_is_scikit_learns_metric(case, metric):
    loss, z, t = targets(case)
    found = evaluate(loss, z, t)[0].mean(axis=1)
    expected = both_members(lambda member: metric(t, loss.link.apply(member)), z)
    np.testing.assert_allclose(found, expected, rtol=1e-12)  # metrics divide and multiply once more


def test_huber_is_its_formula_on_both_sides():
    r = np.array([-3.0, -0.5, -0.2, 0.0, 0.2, 0.5, 3.0]).reshape(1, 7, 1)
    value, slope = evaluate(make_loss("huber", None, huber_delta=0.5), r, np.zeros((7, 1)))
    np.testing.assert_allclose(value[0], [1.375, 0.125, 0.02, 0, 0.02, 0.125, 1.375], rtol=1e-15)
    np.testing.assert_allclose(slope[0, :, 0], [-0.5, -0.5, -0.2, 0, 0.2, 0.5, 0.5], rtol=1e-15)


@pytest.mark.parametrize("name", ["absolute_error", "quantile", "huber"])
def test_slope_is_zero_where_the_prediction_is_the_target(name):
    options = {"quantile": 0.3} if name == "quantile" else {}
    value, slope = evaluate(make_loss(name, None, **options), np.array([[[-2.0], [0.0], [3.0]]]), np.zeros((3, 1)))
    assert (value[0] == 0).tolist() == (slope[0, :, 0] == 0).tolist() == [False, True, False]


def test_a_callable_is_called_for_each_member():
    loss, z, t = targets("callable")
    value, slope = evaluate(loss, z, t)
    for k in range(2):
        expected = log_cosh(t, z[k])
        np.testing.assert_array_equal(value[k], expected[0])
        np.testing.assert_array_equal(slope[k], expected[1])


def test_a_callable_may_overwrite_its_arguments():
    def spoiling(t, z):
        z -= t
        t[...] = 0
        return (0.5 * z**2).sum(axis=1), z

    _, z, t = targets("callable")
    found = evaluate(make_loss(spoiling, None), z, t)
    for a, b in zip(found, evaluate(make_loss("squared_error", None), z, t), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "function",
    [
        lambda t, z: (np.zeros(1), np.zeros_like(z)),
        lambda t, z: (np.zeros_like(z), np.zeros_like(z)),
        lambda t, z: (np.zeros(len(z)), np.zeros(len(z))),
        lambda t, z: (0.0, np.zeros_like(z)),
    ],
)
def test_a_callable_of_wrong_shapes_is_refused(function):
    z, t = np.zeros((1, 4, 2)), np.zeros((4, 2))
    with pytest.raises(ValueError, match=r"loss of each row, of shape \(n_rows,\).* for 4 rows and .* shape \(4, 2\)"):
        evaluate(make_loss(function, None), z, t)


# ------------------------------------------------------------------------ links and names


@pytest.mark.parametrize("name", {**REGRESSION_LOSSES, **CLASSIFICATION_LOSSES})
def test_default_links(name):
    assert make_loss(name, None).link.name == {"poisson": "exp", "gamma": "exp"}.get(name, "identity")


def test_the_link_may_be_chosen():
    assert make_loss("squared_error", "tanh").link is LINKS["tanh"]
    assert make_loss(log_cosh, "exp").link is LINKS["exp"]
    assert make_loss("quantile", "exp", quantile=[0.5]).link is LINKS["exp"]


def test_several_quantiles_are_ordered():
    assert make_loss("quantile", None, quantile=[0.2, 0.8]).link.name == "ordered"


def test_the_base_class_is_abstract():
    with pytest.raises(NotImplementedError):
        Loss(LINKS["identity"]).bind(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), np.zeros((1, 1, 1)))


# ------------------------------------------------------------------------ scaling and best constants

Y = np.random.RandomState(5).lognormal(2, 1, (30, 2)) * [1, 1000]
WEIGHT = np.random.RandomState(6).randint(1, 4, 30).astype(float)


def slope_at_constant(loss, z, t, weight):
    """Mean gradient (out,) where the raw scores of every row are the constant `z`."""
    _, dz = evaluate(loss, np.broadcast_to(z, (1, *t.shape)).copy(), t)
    return np.average(dz[0], axis=0, weights=weight)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["no weights", "weights"])
@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("squared_error", None),
        ("absolute_error", None),
        ("poisson", None),
        ("gamma", None),
        ("squared_error", "exp"),
    ],
)
def test_gradient_vanishes_at_the_constant_that_scaling_finds(name, link, weight):
    """A raw score of 0 is the mean, the median, or (scaled by the mean, with the link exp) log 1."""
    loss = make_loss(name, link)
    center, spread = target_scale(loss, Y, weight)
    slope = slope_at_constant(loss, 0.0, (Y - center) / spread, weight)
    if name == "absolute_error" and weight is not None:
        # the median is a row: its own slope is 0, and those above and below differ by less than its weight
        here = np.array([weight[column == middle].sum() for column, middle in zip(Y.T, center, strict=True)])
        assert (np.abs(slope) <= here / weight.sum() + 1e-15).all()
    else:
        np.testing.assert_allclose(slope, 0, atol=1e-14)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["no weights", "weights"])
@pytest.mark.parametrize("level", [0.1, 0.37, 0.5, 0.9])
def test_pinball_loss_is_lowest_at_the_quantile_that_scaling_finds(level, weight):
    loss = make_loss("quantile", None, quantile=level)
    center, spread = target_scale(loss, Y, weight)
    t = (Y - center) / spread
    assert (slope_at_constant(loss, -1e-9, t, weight) <= 1e-15).all()
    assert (slope_at_constant(loss, 1e-9, t, weight) >= -1e-15).all()


def test_pinball_slope_is_exactly_zero_between_two_rows():
    y = np.arange(10.0)[:, None]
    loss = make_loss("quantile", None, quantile=[0.3])
    assert target_scale(loss, y, None)[0] == 2.5
    np.testing.assert_allclose(slope_at_constant(loss, 2.5, y, None), 0, atol=1e-16)


def test_log_loss_is_lowest_at_the_log_of_the_shares():
    t = np.random.RandomState(0).dirichlet([1, 2, 3], 20)
    mean = np.average(t, axis=0, weights=WEIGHT[:20])
    softmax, logistic = make_loss("log_loss", "softmax"), make_loss("log_loss", "logistic")
    np.testing.assert_allclose(slope_at_constant(softmax, np.log(mean), t, WEIGHT[:20]), 0, atol=1e-15)
    np.testing.assert_allclose(slope_at_constant(logistic, np.log(mean / (1 - mean)), t, WEIGHT[:20]), 0, atol=1e-15)


def test_scaling_by_mean_and_deviation():
    for loss in (make_loss("squared_error", None), make_loss(log_cosh, None)):
        center, spread = target_scale(loss, Y, WEIGHT)
        repeated = np.repeat(Y, WEIGHT.astype(int), axis=0)
        np.testing.assert_allclose(center, repeated.mean(axis=0), rtol=1e-13)
        np.testing.assert_allclose(spread, repeated.std(axis=0), rtol=1e-13)


@pytest.mark.parametrize("name", ["absolute_error", "huber", "quantile"])
def test_outliers_do_not_move_the_scale_of_robust_losses(name):
    loss = make_loss(name, None)
    spoilt = Y.copy()
    spoilt[Y.argmax(axis=0), [0, 1]] *= 1e9
    for now, then in zip(target_scale(loss, spoilt, None), target_scale(loss, Y, None), strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_allclose(target_scale(loss, Y, None)[0], np.median(Y, axis=0), rtol=1e-15)
    normal = np.random.RandomState(0).normal(7, 3, (4000, 1))
    np.testing.assert_allclose(
        target_scale(loss, normal, None)[1], 3, rtol=0.1
    )  # 4000 draws: quartiles are good to 2 %


def test_several_quantiles_start_from_the_lowest():
    loss = make_loss("quantile", None, quantile=[0.1, 0.5, 0.9])
    assert target_scale(loss, np.arange(10.0)[:, None], None)[0] == 0.5


@pytest.mark.parametrize("link", ["logistic", "tanh", "softplus"])
def test_targets_are_not_scaled_where_the_link_has_a_range(link):
    center, spread = target_scale(make_loss("squared_error", link), Y, None)
    assert center.tolist() == [0, 0] and spread.tolist() == [1, 1]


@pytest.mark.parametrize("name", REGRESSION_LOSSES)
def test_constant_targets_have_no_spread_but_that_of_their_unit(name):
    center, spread = target_scale(make_loss(name, None), np.full((5, 1), 4.0), None)
    assert (center, spread) == ((0, 4) if name in ("poisson", "gamma") else (4, 0))


def test_all_zero_counts_have_a_scale():
    assert target_scale(make_loss("poisson", None), np.zeros((5, 1)), None)[1] == 1


# ------------------------------------------------------------------------ extremes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("link", ["logistic", "softmax"])
def test_log_loss_of_extreme_scores_is_finite(link, dtype):
    scores = np.array([-1e4, -100, 0, 100, 1e4], dtype=dtype)
    z = np.stack(np.meshgrid(scores, scores), axis=-1).reshape(1, -1, 2)
    for t in ([0, 1], [1, 0], [0.5, 0.5]):
        value, slope = evaluate(make_loss("log_loss", link), z, np.tile(np.array(t, dtype), (z.shape[1], 1)))
        assert np.isfinite(value).all() and np.isfinite(slope).all()
        assert (value >= 0).all() and (np.abs(slope) <= 1).all()
    value, _ = evaluate(make_loss("log_loss", link), np.array([[[1e4, -1e4]]], dtype), np.array([[0, 1]], dtype))
    assert value == 2e4  # two wrong labels, or one wrong class 2e4 behind


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("link", ["identity", "logistic", "tanh", "softplus", "softmax"])
def test_squared_error_of_extreme_scores_is_finite(link, dtype):
    z = np.array([[[-1e4, 0, 1e4], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]]], dtype)
    value, slope = evaluate(make_loss("squared_error", link), z, np.zeros((3, 3), dtype))
    assert np.isfinite(value).all() and np.isfinite(slope).all()


def test_a_count_of_zero_has_a_poisson_loss():
    value, slope = evaluate(make_loss("poisson", None), np.array([[[1.0]]]), np.array([[0.0]]))
    assert value == slope == np.exp(1.0)


def test_deviances_vanish_where_the_prediction_is_right():
    t = np.array([[0.5], [1.0], [7.0]])
    for name in ("poisson", "gamma"):
        value, slope = evaluate(make_loss(name, None), np.log(t)[None], t)
        np.testing.assert_allclose(value, 0, atol=1e-14)  # terms of up to 14 that cancel
        np.testing.assert_allclose(slope, 0, atol=1e-14)


def test_smallest_targets():
    def smallest(name):
        loss = make_loss(name, None)
        return loss.min_target, loss.min_target_allowed

    assert smallest("poisson") == (0, True)
    assert smallest("gamma") == (0, False)
    assert all(smallest(name)[0] == -np.inf for name in set(REGRESSION_LOSSES) - {"poisson", "gamma"})


@pytest.mark.parametrize("name", {**REGRESSION_LOSSES, **CLASSIFICATION_LOSSES})
def test_options_are_the_constructors_parameters(name):
    loss = {**REGRESSION_LOSSES, **CLASSIFICATION_LOSSES}[name]
    assert list(inspect.signature(loss).parameters) == ["link", *loss.options]


def test_every_loss_has_a_gradient_case():
    missing = sorted({*REGRESSION_LOSSES, *CLASSIFICATION_LOSSES} - {loss for loss, *_ in LOSS_CASES.values()})
    assert not missing, f"The losses {missing} have no case in tests/helpers/gradients.py: LOSS_CASES."


def test_every_link_has_a_gradient_case():
    cases = (make_case(case, np.random.RandomState(0))[0] for case in LOSS_CASES)
    missing = sorted(set(LINKS) - {loss.link.name for loss in cases})
    assert not missing, f"The links {missing} have no case in tests/helpers/gradients.py: LOSS_CASES."

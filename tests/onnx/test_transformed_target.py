"""A TransformedTargetRegressor in ONNX: predictions are transformed back as scikit-learn does."""

import functools

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import VotingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

skl2onnx = pytest.importorskip("skl2onnx")
pytest.importorskip("onnxruntime")

from skscratch.onnx import register, to_onnx  # noqa: E402
from skscratch.onnx.transformed_target import FUNCTION_EMITTERS, INVERSE_EMITTERS  # noqa: E402
from tests.onnx.test_convert import assert_equal, regressor, run  # noqa: E402

RANDOM = np.random.default_rng(0)
N = 150
X = pd.DataFrame({"city": RANDOM.choice(["Ulm", "Rom"], N).astype(object), "area": RANDOM.gamma(3, 10, N)})
Y = (0.02 + X["area"] / 200).to_numpy()  # in (0, 1), where each function below has an inverse


def target(**options):
    return TransformedTargetRegressor(regressor(dtype="float64"), **options)


def cube(y):
    return y**3


PAIRS = {
    np.exp: np.log,
    np.exp2: np.log2,
    special.exp10: np.log10,
    np.expm1: np.log1p,
    np.square: np.sqrt,
    np.cbrt: cube,
    np.reciprocal: np.reciprocal,
    np.negative: np.negative,
    np.sinh: np.arcsinh,
    np.tanh: np.arctanh,
    special.expit: special.logit,
}
PAIRS |= {forward: inverse for inverse, forward in list(PAIRS.items()) if forward is not cube}


def test_every_function_is_tried():
    assert set(FUNCTION_EMITTERS) == set(PAIRS)


@pytest.mark.parametrize("inverse", PAIRS, ids=lambda function: function.__name__)
def test_functions(inverse):
    model = target(func=PAIRS[inverse], inverse_func=inverse).fit(X, Y)
    assert_equal(model, X, rows=X.iloc[::-1].assign(city=None))


TRANSFORMERS = {
    FunctionTransformer: [FunctionTransformer(), FunctionTransformer(np.log1p, np.expm1)],
    StandardScaler: [StandardScaler(), StandardScaler(with_mean=False), StandardScaler(with_std=False)],
    RobustScaler: [RobustScaler(), RobustScaler(with_centering=False), RobustScaler(with_scaling=False)],
    MaxAbsScaler: [MaxAbsScaler()],
    MinMaxScaler: [MinMaxScaler((-2, 5))],
    PowerTransformer: [
        PowerTransformer(method, standardize=standardize)
        for method in ("box-cox", "yeo-johnson")
        for standardize in (True, False)
    ],
    QuantileTransformer: [
        QuantileTransformer(n_quantiles=n, output_distribution=kind)
        for n, kind in ((50, "uniform"), (50, "normal"), (1, "uniform"))
    ],
    Pipeline: [
        make_pipeline(StandardScaler(), "passthrough", FunctionTransformer(np.arcsinh, np.sinh)),
    ],
}


def test_every_transformer_is_tried():
    assert set(INVERSE_EMITTERS) == set(TRANSFORMERS)


@pytest.mark.parametrize(
    "transformer", [one for some in TRANSFORMERS.values() for one in some], ids=lambda one: str(one)[:60]
)
def test_transformers_of_one_target_and_of_two(transformer):
    for y in (Y, np.c_[Y, 1 + 9 * Y**2]):
        # a transformer of one quantile loses y, so that scikit-learn would warn
        assert_equal(target(transformer=transformer, check_inverse=False).fit(X, y), X)


@pytest.mark.parametrize("power", [-0.7, 0, 0.3, 1, 2, 2.7])
def test_powers_of_both_signs(power):
    transformer = PowerTransformer().fit(np.linspace(-2, 2, 30)[:, None])
    transformer.lambdas_ = np.array([float(power)])
    low, high = transformer.transform([[-9.0], [9.0]])[:, 0]
    scores = np.linspace(low, high, 41)  # for powers below 0 and above 2 there is nothing far beyond
    graph, X = graph_of(scores, transformer)
    got = run(graph, {"X": X})["variable"][:, 0]
    expected = transformer.inverse_transform(scores[:, None])[:, 0]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)  # two exponentials and a difference


def test_normal_quantiles_hold_in_the_tails():
    y = stats.t.ppf(np.linspace(1e-4, 1 - 1e-4, 5000), 2)  # heavy tails: steep between the outermost quantiles
    transformer = QuantileTransformer(n_quantiles=1000, output_distribution="normal", subsample=None)
    transformer.fit(y[:, None])
    scores = np.r_[np.linspace(-6, 6, 997), 0.0]
    graph, X = graph_of(scores, transformer)
    got = run(graph, {"X": X})["variable"][:, 0]
    expected = transformer.inverse_transform(scores[:, None])[:, 0]
    # the distribution function has 1.2e-7 of the tail, times a slope of up to 5e4
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.std(y), rtol=1e-6)


def graph_of(scores, transformer):
    """Return the graph of a model whose regressor returns X unchanged, and the X of these scores."""
    X = scores[:, None]
    model = TransformedTargetRegressor(LinearRegression(), check_inverse=False).fit(X, scores)
    model.regressor_.coef_, model.regressor_.intercept_ = np.ones(1), np.zeros(1)
    model.transformer_ = transformer
    return to_onnx(model, X), X


# -------------------------------------------------------- around and inside


def test_a_target_in_other_estimators():
    model = target(func=np.log1p, inverse_func=np.expm1)
    assert_equal(make_pipeline(model).fit(X, Y), X)
    assert_equal(GridSearchCV(model, {"regressor__alpha": [0.0]}, cv=2).fit(X, Y), X)
    assert_equal(VotingRegressor([("a", model), ("b", regressor())]).fit(X, Y), X)
    search = TransformedTargetRegressor(GridSearchCV(regressor(), {"alpha": [0.0]}, cv=2), transformer=StandardScaler())
    assert_equal(search.fit(X, Y), X)


def test_single_precision_comes_out_where_it_goes_in():
    rows = X[["area"]].astype(np.float32)
    (y,) = assert_equal(target(transformer=StandardScaler()).fit(rows, Y), rows).values()
    assert y.dtype == np.float32


def test_skl2onnx_converts_it_after_register():
    register()
    rows = X[["area"]].to_numpy()
    model = target(func=np.log, inverse_func=np.exp).fit(rows, Y)
    assert_equal(model, rows, model=skl2onnx.to_onnx(model, rows), feed={"X": rows})


# ----------------------------------------------------------------- refused


def double(y):
    return 2 * y


def half(y):
    return y / 2


@pytest.mark.parametrize("inverse", [half, functools.partial(np.multiply, 0.5), np.deg2rad])
def test_functions_of_ones_own_are_refused(inverse):
    model = target(func=double, inverse_func=inverse, check_inverse=False).fit(X, Y)
    name = getattr(inverse, "__name__", "functools.partial")
    message = rf"inverse_func {name}.* arcsinh, arctanh, .* square, .*convert `regressor_` alone"
    with pytest.raises(NotImplementedError, match=message):
        to_onnx(model, X)


def test_arguments_of_functions_are_refused():
    transformer = FunctionTransformer(np.log1p, np.expm1, inv_kw_args={"dtype": "float64"})
    with pytest.raises(NotImplementedError, match="inverse_func expm1 with arguments"):
        to_onnx(target(transformer=transformer).fit(X, Y), X)


def test_other_transformers_are_refused():
    with pytest.raises(
        NotImplementedError, match=r"cannot undo the PCA of the target. It can undo FunctionTransformer, "
    ):
        to_onnx(target(transformer=PCA()).fit(X, np.c_[Y, -Y]), X)

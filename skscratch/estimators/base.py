"""ScratchMLP: fitting and raw scores, for both estimators.

`fit` has six phases: check the input, split off validation rows, build encoder and network, encode the table, train and
keep the result.  Prediction encodes a table and runs the network forward.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..encoding.check_input import Rows
from ..encoding.features import FeatureEncoder
from ..encoding.out_of_core import StreamSample
from ..encoding.targets import TargetEncoder
from ..nn.losses import Loss
from ..nn.network import Network
from ..nn.tape import Array
from ..training.evaluation import Evaluation
from ..training.fit import FitResult, fit_network
from ..training.listeners import Listener
from ..training.objective import Objective
from ..training.state import Split, TrainingState
from ..training.threads import training_context
from ..training.time_limit import TimeLimit
from .build import (
    LocalBackend,
    build_model,
    build_network,
    build_parameters,
    follow_stream,
    forget_unseen,
    initial_parameters,
)
from .callback_support import CallbackSupport, fit_with_callbacks
from .check import Inputs, check_input, table_to_predict
from .conformal import Conformity, rows_to_score
from .constraints import check
from .docstrings import reference_page
from .fitted import FittedNetwork, packed, unpacked
from .hints import hinted
from .importances import Importances, importance_sample
from .parameters import HyperParameters
from .plan import (
    calls_user_functions,
    check_together,
    count_different,
    fold_split,
    hidden_sizes,
    max_epochs,
    number_of_threads,
    split_rows,
    training_plan,
)
from .scoring import score_of, with_known_scores
from .sklearn_types import TransformerMixin

__all__ = ["ScratchMLP", "takes_steps"]


class ScratchMLP(TransformerMixin, CallbackSupport, Importances, HyperParameters):
    """Fitting, raw scores and hidden outputs; the subclasses know about targets."""

    fitted_: FittedNetwork
    category_penalty_: float | None
    temperature_: float
    best_iteration_: int
    history_: dict[str, list[float]]
    n_iter_: int
    t_: int
    loss_: float
    best_loss_: float | None
    loss_curve_: list[float]
    validation_loss_curve_: list[float] | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    oof_predictions_: Array | None
    oof_score_: float | None
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    n_features_in_: int
    feature_names_in_: Array

    _state: TrainingState | None  # None in an estimator that was loaded from a file
    _known: tuple[Any, Array] | None = None  # (X, scores): known raw scores, replayed to scikit-learn's scorers
    # during a fit with callbacks: an estimator that replays its scores of validation rows, their X and y, and metadata
    _held_out: tuple[Any, Any, Any, dict[str, Any]] | None = None
    _target_type: ClassVar[Any]

    # scikit-learn links the representation in notebooks to this address, the page of the class in the API reference
    _doc_link_module = "skscratch"
    _doc_link_template = "{address}"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        return {"address": reference_page(type(self))}

    # ---------------------------------------------------------------- fitting

    @hinted
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Fit the network to a table.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Numbers in any units; in a DataFrame also strings, categories and booleans. Dates, durations and times of
            day become numbers of seconds. A date, in any unit and library, has beside it those of time of day, day of
            the week and day of the year that vary in X, as sines and cosines, on the clock of its time zone. Missing
            values are NaN, None, NaT or pandas.NA. A memory-mapped array of 64 MB or more is not copied: its rows are
            read and encoded batch by batch.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels (or an indicator matrix) for the classifier, numbers for the regressor.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row. A row of weight 2 counts as two rows, and a row of weight 0 as none.
        X_val, y_val : as X and y, default=None
            Validation rows, scored after each epoch: the weights of the best epoch are kept. With `early_stopping`
            they also decide when to stop, instead of a part of X.
        sample_weight_val : array-like, default=None
            Weights of the rows of `X_val`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        InvalidParameterError
            If a parameter has the wrong type or is out of range.
        ValueError, TypeError
            If the input does not fit. The estimator stays as it was before the call.
        """
        check(self)
        inputs = Inputs(X, y, sample_weight, X_val, y_val, sample_weight_val)
        if not hasattr(self, "_skl_callbacks"):
            return self._fit(inputs, Listener())
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        return fit_with_callbacks(self, partial(self._fit, inputs), max_epochs(self), X=X, y=y, metadata=metadata)

    def _partial_fit(self, inputs: Inputs, classes: Any = None) -> Self:
        check(self)
        return self._fit(inputs, Listener(), incremental=True, classes=classes)

    def _fit(self, inputs: Inputs, listener: Listener, incremental: bool = False, classes: Any = None) -> Self:
        """Fit a copy of this estimator, and take over its attributes at once: an error changes nothing."""
        time_limit = None if self.max_time is None or incremental else TimeLimit(self.max_time)
        new = copy.copy(self)
        before = self.fitted_ if self.__sklearn_is_fitted__() and (incremental or self.warm_start) else None
        check_together(self, None if before is None else before.built_with)
        with new._open_backend(inputs) as (backend, inputs):
            # 1 check: tables, targets and weights
            rows, validation, targets, loss = check_input(new, backend, inputs, before, incremental, classes)
            # 2 split: rows that validate
            state = None if before is None else new._resumed_state(before)
            rng = new._generator() if state is None else state.rng
            split = Split()
            if validation is None and self.early_stopping is True and not incremental:
                rows, validation, split = split_rows(self, rows, targets, state, rng)
            # 3 build: encoding and network
            if before is None:
                model = build_model(new, backend, rows, targets, loss, incremental)
            else:
                assert state is not None
                built_with = build_parameters(self)
                model = replace(before, targets=targets.widened(rows.values), loss=loss, built_with=built_with)
                model = follow_stream(model, state, rows) if incremental and state.stream else model
            # 4 encode: what training minimises; the line searches of L-BFGS need double precision
            dtype = np.dtype(np.float64) if self.solver == "lbfgs" else model.dtype
            objective = backend.objective(model, rows, dtype)
            if state is None:
                state = TrainingState(initial_parameters(self, backend, model, objective, rows, dtype, rng), None, rng)
                model = follow_stream(model, state, rows) if incremental else model
            state.parameters = state.parameters.astype(dtype, copy=False)
            state.incremental |= incremental
            if validation is None and not incremental:
                split = fold_split(self, objective, rows.values, state.split, rng)
            state.split = split
            if before is None and isinstance(self.init, str) and (incremental or state.split.folds is not None):
                forget_unseen(model, objective, state.parameters, state.split.folds)
            new._keep_structure(model)
            objective, evaluation = new._evaluation(backend, objective, rows, validation, dtype, state.split.folds)
            # 5 train
            held_out = rows if state.split.folds is not None else validation
            validated = evaluation is not None
            keep = partial(type(self)._keep, begun=state.progress.epoch, held_out=held_out, validated=validated)
            listener.on_fit_begin(lambda result: new._attributes_so_far(keep, result, state, held_out))
            mean_weight = 1.0 if rows.weight is None else float(rows.weight.mean())
            plan = training_plan(
                self,
                len(rows),
                incremental,
                backend.max_batch,
                backend.epoch_type,
                rows.weight_exponent,
                mean_weight,
                time_limit,
            )
            result = fit_network(plan, objective, evaluation, state, listener)
            new._check_finite(result, objective if evaluation is None else evaluation.objective, state)
            sample = None if incremental else importance_sample(objective, evaluation, result)
            del objective, evaluation  # the encoded table makes room for the conformity scores
            # 6 keep: the fitted attributes
            keep(new, result, state)
            new._importance_sample = sample
            new.__dict__.update(backend.attributes())
        self.__dict__ = new.__dict__
        return self

    @contextmanager
    def _open_backend(self, inputs: Inputs) -> Iterator[tuple[LocalBackend, Inputs]]:
        """Yield the backend that reads these inputs, and the inputs as it reads them."""
        yield LocalBackend(), inputs

    def _resumed_state(self, before: FittedNetwork) -> TrainingState:
        """Return a copy of the state of the last call; of an estimator from a file that has none, a new state."""
        if self._state is not None:
            return replace(self._state.copy(), rng=copy.deepcopy(self._state.rng))
        history = {name: list(values) for name, values in self.history_.items()}
        penalty = self.category_penalty_
        return TrainingState(
            before.parameters.copy(), None, self._generator(), history=history, category_penalty=penalty
        )

    def _generator(self) -> np.random.RandomState:
        """Return a generator of this fit's own; one that the user passed moves on by one draw."""
        given: np.random.RandomState = check_random_state(self.random_state)
        own = copy.deepcopy(given)
        given.randint(2**31 - 1)
        return own

    def _evaluation(
        self,
        backend: LocalBackend,
        objective: Objective,
        rows: Rows,
        validation: Rows | None,
        dtype: Any,
        folds: Array | None,
    ) -> tuple[Objective, Evaluation | None]:
        """Return the objective without the rows that members hold out, and how training is validated, if it is."""
        if validation is not None:
            held_out = backend.objective(self.fitted_, validation, dtype)
        elif folds is not None:
            validation, held_out = rows, objective
            objective = objective.holding_out(folds, self.n_members, self.fitted_.dtype)
        else:
            return objective, None
        calibrate = bool(self.calibrate and is_classifier(self) and objective.loss.canonical)
        scorer = None if self.scoring == "loss" else partial(score_of, self, validation)
        n_different = count_different(held_out, validation.values) if calibrate else None
        return objective, Evaluation(held_out, folds, calibrate, scorer, n_different)

    def _keep_structure(self, model: FittedNetwork) -> None:
        """Set what follows from the network before it is trained."""
        self.fitted_ = model
        self.n_outputs_ = model.targets.n_scores(model.loss)
        self.n_layers_ = len(hidden_sizes(self)) + 2
        self.out_activation_ = model.loss.link.name

    def _keep(
        self,
        result: FitResult,
        state: TrainingState,
        begun: int = 0,
        held_out: Rows | None = None,
        validated: bool = False,
    ) -> None:
        """Set every attribute that training determines."""
        history, progress, best = state.history, state.progress, state.best
        losses = history.get("loss", [])
        parameters = result.parameters.astype(self.fitted_.dtype, copy=False)
        conformity = None
        if result.scores is not None and held_out is not None:
            chosen = rows_to_score(len(result.scores))
            scored = replace(result, scores=result.scores[chosen])
            weight, folds = (None if part is None else part[chosen] for part in (held_out.weight, state.split.folds))
            with np.errstate(all="ignore"):  # a training that has diverged is refused elsewhere
                conformity = self._conformity(scored, held_out.values[chosen], weight, folds)
        self.fitted_ = replace(
            self.fitted_, parameters=parameters, temperature=result.temperature, conformity=conformity
        )
        self._state = state
        self.temperature_ = result.temperature
        self.category_penalty_ = state.category_penalty
        self.best_iteration_ = result.epoch
        self.history_ = history
        self.n_iter_ = progress.epoch - begun
        self.t_ = progress.n_seen
        self.loss_curve_ = losses
        self.loss_ = losses[-1] if losses else float("nan")
        self.best_loss_ = None if validated else best.loss
        self.validation_loss_curve_ = history.get("validation_loss")
        self.validation_scores_ = history.get("validation_score")
        self.best_validation_score_ = best.score if validated else None
        self.oof_predictions_ = self.oof_score_ = self._importances = self._importance_sample = None
        if state.split.folds is not None and result.scores is not None and held_out is not None:
            X = held_out.X
            replaying: Any = with_known_scores(self, X, result.scores)
            self.oof_predictions_ = (replaying.predict_proba if is_classifier(self) else replaying.predict)(X)
            with np.errstate(over="ignore", invalid="ignore"):  # squares of targets in any units
                self.oof_score_ = float(replaying.score(X, held_out.y, held_out.weight))

    def _check_finite(self, result: FitResult, objective: Objective, state: TrainingState) -> None:
        """Raise ValueError if the weights, or the raw scores of training rows, are not finite.

        Scaled numbers and the activations of this package give finite scores, unless the training has diverged.
        """
        if not np.isfinite(result.parameters).all():
            raise ValueError("Training produced non-finite weights: lower learning_rate_init or scale the input.")
        if self.scale_features and state.rate_factor == 1 and not calls_user_functions(self):
            return
        with training_context():
            finite = objective.is_finite(result.parameters)
        if not finite:
            raise ValueError(
                "The fitted network predicts NaN or infinity for rows that it was fitted to. Either a callable "
                "activation or loss returns such values, or X has values too large for a network without scaling: "
                "leave scale_features on, or lower learning_rate_init."
            )

    def _attributes_so_far(
        self, keep: Callable[..., None], result: FitResult, state: TrainingState, held_out: Rows | None
    ) -> dict[str, Any]:
        """Return the attributes of the estimator as if the fit had ended now; training does not change them later."""
        so_far = copy.copy(self)
        keep(so_far, replace(result, parameters=result.parameters.copy()), state.snapshot())
        if held_out is not None and result.scores is not None:
            weight = held_out.given_weight()
            metadata = {} if weight is None else {"sample_weight": weight}
            replaying = with_known_scores(copy.copy(so_far), held_out.X, result.scores)
            so_far._held_out = replaying, held_out.X, held_out.y, metadata
        return vars(so_far)

    # ------------------------------------------------------------- predicting

    def _raw_scores(self, X: Any, pooled: bool = True) -> tuple[FittedNetwork, Array]:
        """Return the fitted model and its raw scores: the members' mean (n, out), or each member's (K, n, out).

        All of a prediction is of this model, even if another thread fits the estimator again meanwhile.
        """
        now = copy.copy(self)
        if now._known is not None:
            if X is not now._known[0] or not pooled:
                raise ValueError("A scorer can predict only the validation rows, as they were passed to it.")
            return now.fitted_, now._known[1]
        if not now.__sklearn_is_fitted__():
            check_is_fitted(now)  # raises NotFittedError
        model = now.fitted_
        table = table_to_predict(now, X)
        return model, model.raw_scores(table, pooled, partial(number_of_threads, now))

    def _require_conformity(self) -> Conformity:
        """Return the conformity scores of the last fit; raise NotFittedError or ValueError if there are none."""
        check_is_fitted(self)
        return self.fitted_.required_conformity

    def _scores_by_group(self, X: Any) -> tuple[FittedNetwork, Conformity, Array]:
        """Return the fitted model, its conformity scores and, for each group of these, raw scores (n_groups, n, out).

        Those of a fold are the mean over the members that have not seen it; those of a single group, of all members.
        """
        now = copy.copy(self)
        conformity = now._require_conformity()
        model, z = now._raw_scores(X, pooled=conformity.n_groups == 1)
        if conformity.n_groups == 1:
            return model, conformity, z[None]
        return model, conformity, z.reshape(-1, conformity.n_groups, *z.shape[1:]).mean(axis=0)

    def transform(self, X: Any) -> Any:
        """Return the outputs of the last hidden layer: an embedding in which rows of similar targets are close.

        In a pipeline, the steps behind the network receive this embedding. The network has seen the targets of the
        training rows, so that a model on top of it looks better on them than it is. Cross-validate the whole pipeline.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        outputs : ndarray of shape (n_samples, n_members * n_units)
            The columns of the first member come first. Members are not averaged, because their units do not correspond.
            After `set_output`, a DataFrame with the names that `get_feature_names_out` returns.

        Raises
        ------
        ValueError
            If the network has no hidden layer, or if X does not fit.
        """
        now = copy.copy(self)
        check_is_fitted(now)
        model = now.fitted_
        table = table_to_predict(now, X)
        return model.hidden_outputs(table, partial(number_of_threads, now))

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return the name of each column that `transform` returns.

        Parameters
        ----------
        input_features : None
            Ignored; for the API of scikit-learn.

        Returns
        -------
        names : ndarray of str, shape (n_members * n_units,)

        Raises
        ------
        ValueError
            If the network has no hidden layer.
        """
        check_is_fitted(self)
        names = [f"{type(self).__name__.lower()}{i}" for i in range(self.fitted_.n_hidden_outputs)]
        return np.array(names, dtype=object)

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrix of each layer, (n_in, n_out); of several members (K, n_in, n_out)."""
        model = self._require_fitted("coefs_")
        return [_read_only(layer.W) for layer in model.network.dense(model.parameters)]

    @property
    def intercepts_(self) -> list[Array]:
        """Bias vector of each layer, (n_out,); of several members (K, n_out); zeros without biases."""
        model = self._require_fitted("intercepts_")
        layers = model.network.dense(model.parameters)
        return [
            _read_only(
                layer.b[:, 0]
                if hasattr(layer, "b")
                else np.zeros_like(layer.W, shape=layer.W.shape[:1] + layer.W.shape[2:])
            )
            for layer in layers
        ]

    def _require_fitted(self, name: str) -> FittedNetwork:
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r} before it is fitted")
        return self.fitted_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fitted_")

    # ------------------------------------------------- subclasses, and files

    def _make_targets(self, y: Any, classes: Any, before: Any) -> TargetEncoder:
        """Return the target encoder for y, or with what `before` has learned, in a continued training."""
        raise NotImplementedError

    def _make_loss(self, targets: Any) -> Loss:
        """Return the loss; raise ValueError for parameters that do not go together."""
        raise NotImplementedError

    def _conformity(
        self, result: FitResult, values: Array, weight: Array | None, folds: Array | None
    ) -> Conformity | None:
        """Return the conformity scores of rows that members have not seen, or None where they have no use."""
        raise NotImplementedError

    def __copy__(self) -> Self:
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__)
        return new

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a file; that of training is left out unless the training may continue from the file."""
        state: TrainingState | None = getattr(self, "_state", None)
        continues = state is not None and (self.warm_start or state.incremental or state.is_snapshot)
        if self._importance_sample is not None:
            self._computed_importances("importances_")  # the file holds them, not the rows that they come from
        return packed(super().__getstate__(), continues)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state from a file of this version or an older one; raise ValueError for a damaged one."""
        kind = type(self).__name__
        super().__setstate__(unpacked(state, kind))
        try:
            self._restore()
        except Exception as error:
            if isinstance(error, MemoryError):
                raise
            raise ValueError(f"This file of a {kind} is damaged: {type(error).__name__}: {error}.") from error

    def _restore(self) -> None:
        """Make objects of the plain values that a file holds."""
        attributes: Any = self.__dict__
        if "fitted_" in attributes:
            attributes["fitted_"] = FittedNetwork.from_state(attributes["fitted_"], self._rebuilt)
        if attributes.get("_state") is not None:
            training = dict(attributes["_state"])
            stream = training.pop("stream")
            attributes["_state"] = TrainingState.from_state(training)
            attributes["_state"].stream = stream and StreamSample.from_state(stream)

    def _rebuilt(self, built_with: dict[str, Any], encoder: FeatureEncoder, targets: Any) -> tuple[Network, Loss]:
        """Build network and loss again; the estimator's parameters may have been set since the fit."""
        as_fitted = copy.copy(self)
        as_fitted.__dict__.update(built_with)
        loss = as_fitted._make_loss(targets)
        return build_network(as_fitted, encoder, targets.n_scores(loss)), loss

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags


def takes_steps(estimator: Any) -> bool:
    """Return True where the solver takes single steps; otherwise raise the AttributeError for `partial_fit`."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic solvers; 'lbfgs' is not one.")
    return True


def _read_only(array: Array) -> Array:
    """Return a view that cannot be written to, without the axis of a single member."""
    view = array[0] if len(array) == 1 else array[:]
    view.flags.writeable = False
    return view

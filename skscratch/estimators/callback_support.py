"""scikit-learn's callbacks as a listener: a root task "fit", and in it a task for each epoch.

Callbacks came with scikit-learn 1.9 (``sklearn.callback``).  Without any, nothing of it is imported and nothing runs.
"""

from collections.abc import Callable
from typing import Any, Self, TypeVar

from ..training.listeners import Listener

__all__ = ["CallbackSupport", "fit_with_callbacks"]

Result = TypeVar("Result")


class CallbackSupport:
    """Mix-in that gives an estimator `set_callbacks`."""

    def set_callbacks(self, *callbacks: Any) -> Self:
        """Set callbacks that observe each fit and each of its epochs, and may stop it.

        Parameters
        ----------
        *callbacks : instances that follow ``sklearn.callback.FitCallback``
            scikit-learn's `ProgressBar` and `ScoringMonitor`, those of `skscratch.callbacks`, or your own; without
            arguments, all callbacks are removed. Hooks receive `X`, `y`, `metadata` (the sample weight) and
            `fitted_estimator`, the estimator as if the fit had ended there. If `on_fit_task_end` returns True for an
            epoch, the fit ends there: the weights of the best epoch are kept as usual, and there is no refit.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ImportError
            If scikit-learn is older than 1.9.
        TypeError
            If a callback does not follow the protocol.
        """
        try:
            from sklearn.callback import CallbackSupportMixin
        except ImportError as error:
            import sklearn

            raise ImportError(
                f"set_callbacks needs scikit-learn 1.9 or newer, which introduced callbacks; {sklearn.__version__} is "
                "installed. Everything else works without them."
            ) from error
        CallbackSupportMixin.set_callbacks(self, *callbacks)
        return self


def fit_with_callbacks(estimator: Any, fit: Callable[[Listener], Result], max_epochs: int, **data: Any) -> Result:
    """Run `fit` as the root task of the estimator's callbacks, and return its result.

    All callbacks that were set up are torn down, whatever happens.

    Parameters
    ----------
    estimator : estimator
        One that has callbacks.
    fit : callable
        Takes the listener that calls the callbacks at each epoch.
    max_epochs : int
    **data : dict
        What hooks receive of the data: X, y and metadata.
    """
    from sklearn.callback import CallbackSupportMixin, with_callbacks

    def run(estimator: Any) -> Result:
        root = CallbackSupportMixin._init_callback_context(estimator, max_subtasks=max_epochs)
        root.call_on_fit_task_begin(estimator=estimator, **data)
        listener = _CallbackListener(estimator, root, data)
        result = fit(listener)
        listener.on_epoch_counted()  # of an epoch that diverged or was interrupted
        root.call_on_fit_task_end(estimator=estimator, **data, reconstruction_attributes={})
        return result

    before = vars(estimator).copy()
    try:
        result: Result = with_callbacks(run)(estimator)
    except BaseException:
        estimator.__dict__ = before  # also where a callback raises after the fit has ended
        raise
    return result


class _CallbackListener(Listener):
    """Opens and closes a task of scikit-learn's callbacks for each epoch."""

    def __init__(self, estimator: Any, context: Any, data: dict[str, Any]):
        self._estimator, self._context, self._data = estimator, context, data
        self._task: Any = None

    def on_fit_begin(self, attributes_of: Callable[[Any], dict[str, Any]]) -> None:
        """The fit begins."""
        self._attributes_of = attributes_of

    def on_train_begin(self, result_so_far: Callable[[], Any]) -> None:
        """Training or the refit begins."""
        self._result_so_far = result_so_far

    def on_epoch_begin(self) -> None:
        """Open the epoch's task; an epoch that begins again after it diverged has one already."""
        if self._task is None:
            self._task = self._context.subcontext(task_name="epoch")
            self._task.call_on_fit_task_begin(
                estimator=self._estimator, **self._data, reconstruction_attributes=self._fitted_attributes
            )

    def on_epoch_counted(self) -> bool:
        """Close the epoch's task; return whether a callback stops the training."""
        if self._task is None:
            return False
        task, self._task = self._task, None
        return bool(
            task.call_on_fit_task_end(
                estimator=self._estimator, **self._data, reconstruction_attributes=self._fitted_attributes
            )
        )

    def _fitted_attributes(self) -> dict[str, Any]:
        return self._attributes_of(self._result_so_far())

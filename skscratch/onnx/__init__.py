"""Export of fitted estimators to ONNX graphs, which run without Python.

A fitted estimator and some rows come in; an `onnx.ModelProto` goes out, which skl2onnx assembles.

Read `convert` (the public functions), `inputs` (from rows to the inputs of a graph), `estimators` (labels and
predictions), `conformal` (intervals and sets), `encoding` (an emitter for each block of the encoder), `network` (an
emitter for each layer, activation and link), and `nested` (an estimator inside another one), on which build
`calibration` (CalibratedClassifierCV), `ensembles` (voting, stacking, bagging, several outputs, one-vs-rest) and
`transformed_target` (TransformedTargetRegressor).
"""

from .convert import register, to_onnx
from .inputs import input_feed

__all__ = ["input_feed", "register", "to_onnx"]

"""Write the files of this folder, which are of format 1, with their predictions.

`test_files.py` loads them with the present version: do not write them again, but add a folder for each later format.
"""

import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import clone

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.test_files import KEPT, MODELS, X, answer

if __name__ == "__main__":
    predictions = {}
    for name, (model, y) in MODELS.items():
        model = clone(model).set_params(random_state=0, hidden_layer_sizes=(4, 4), max_iter=8).fit(X, y)
        name = name.replace(" ", "_")
        joblib.dump(model, KEPT / f"{name}.joblib", compress=3)
        predictions[name] = answer(model)
    np.savez_compressed(KEPT / "predictions.npz", **predictions)

"""Settings for the whole run; this file is read before any test module imports SciPy."""

import os

# without it, scikit-learn skips its array-API checks; SciPy reads it when it is imported
os.environ["SCIPY_ARRAY_API"] = "1"

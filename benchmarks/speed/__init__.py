"""Time of training steps, fits and predictions; memory, size of pickles, time of imports."""

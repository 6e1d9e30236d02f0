"""Accuracy and fit time beside other libraries, and the gain of a hyper-parameter search."""

"""Fixtures of the estimators' tests."""

import pytest

from tests.helpers.estimators import CLASSES


@pytest.fixture(params=CLASSES)
def kind(request):
    """Each of the two kinds of estimator in turn."""
    return request.param

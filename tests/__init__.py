"""Tests of the rooms of the same names; what they share is in `support`."""

import pytest

# So that an assert that fails there says what it compared, as in a test.
pytest.register_assert_rewrite("tests.support")

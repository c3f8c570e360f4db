"""Tests with real processes; what they share asserts as tests do, with the values in the message."""

import pytest

pytest.register_assert_rewrite("tests.processes.customer", "tests.processes.site")

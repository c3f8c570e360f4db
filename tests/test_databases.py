"""On which databases a test runs."""

import pytest

seen: list[str] = []


def test_a_test_that_says_nothing_runs_on_both(database_kind: str):
    seen.append(database_kind)
    assert seen == ["sqlite", "postgres"][: len(seen)]


@pytest.mark.one_database
def test_a_marked_test_runs_on_sqlite_alone(database_kind: str):
    assert database_kind == "sqlite"

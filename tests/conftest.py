"""What every test has: the plugins beside this file, and a seed that is printed and can be given again."""

import random

import pytest
from hypothesis import settings

pytest_plugins = [
    "tests.in_memory",  # before those that import it
    "tests.browser",
    "tests.databases",
    "tests.injected_answers",
    "tests.leaks",
    "tests.logs",
    "tests.quick",
    "tests.workers",
    "pytester",
]

# Two slow cores are not a failure, so no deadline; the blob of a failing example goes into its report.
settings.register_profile("demitasse", deadline=None, print_blob=True)
settings.load_profile("demitasse")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Draw a seed for hypothesis unless `--hypothesis-seed` gives one."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))


def pytest_report_header(config: pytest.Config) -> str:
    """Print the seed as the option that repeats it."""
    return f"seed: --hypothesis-seed={config.option.hypothesis_seed}"

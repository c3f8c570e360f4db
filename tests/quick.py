"""A pytest plugin: work that every test would repeat to no end is done once in a process."""

import gc
from collections.abc import Generator, Iterator
from types import CodeType
from typing import Any

import jinja2
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Look for no garbage among the modules and tests that are collected: they stay to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def templates_are_compiled_once() -> Iterator[None]:
    """Compile a template once, not for each server that a test starts; an environment that reads templates
    in another way, or has other filters, compiles its own."""
    compile_anew = jinja2.Environment.compile
    compiled: dict[Any, CodeType] = {}

    def compile_once(
        self: jinja2.Environment, source: str, name: str | None = None, filename: str | None = None
    ) -> CodeType:
        reading = (type(self), self.autoescape, self.undefined, *self.extensions, "|", *sorted(self.filters))
        key = (source, name, filename, reading)
        if key not in compiled:
            compiled[key] = compile_anew(self, source, name, filename)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", compile_once)
        yield

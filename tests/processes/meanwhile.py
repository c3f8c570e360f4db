"""Tests that wait for real machines wait together: each is a story, and all stories are told at once.

A story is an async function of a `Site`, marked by `@meanwhile`; it takes machines of its own there, and
disturbs no other. The first such test tells all that were selected; each shows only its own end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.processes.customer import Customer
from tests.processes.site import Machine, Site

STORY_WITHIN_S = 180.0
AT_ONCE = 16
"""Stories told at the same time: mostly they wait, but each starts a few processes."""


@dataclass
class Scene:
    """Where a story is told: the site that all share, and a customer of it."""

    site: Site
    customer: Customer
    machines: list[Machine] = field(default_factory=list)

    async def machine(self, *behaviour: str, **how: Any) -> Machine:
        """Place a machine of one's own; see `Site.machine`."""
        placed = await self.site.machine(*behaviour, **how)
        self.machines.append(placed)
        return placed


Story = Callable[[Scene], Awaitable[None]]
Ends = dict[Story, BaseException | None]


def meanwhile(story: Story) -> Callable[[Ends], None]:
    """Make a story a test."""

    def test(ends: Ends) -> None:
        if error := ends[story]:
            raise error

    test.story = story  # type: ignore[attr-defined]
    test.__name__, test.__doc__, test.__module__ = story.__name__, story.__doc__, story.__module__
    return test


def selected(items: list[pytest.Item]) -> list[Story]:
    """Return the stories of the tests that will run."""
    functions = (item.function for item in items if isinstance(item, pytest.Function))
    return [function.story for function in functions if hasattr(function, "story")]


async def tell(stories: list[Story], site: Site) -> Ends:
    """Tell the stories at the same time; return how each ended."""
    async with Customer(site) as customer:
        seats = asyncio.Semaphore(AT_ONCE)
        told = [_told(story, Scene(site, customer), seats) for story in stories]
        return dict(zip(stories, await asyncio.gather(*told), strict=True))


async def _told(story: Story, scene: Scene, seats: asyncio.Semaphore) -> BaseException | None:
    try:
        async with seats, asyncio.timeout(STORY_WITHIN_S):
            await story(scene)
    except Exception as error:
        error.add_note(scene.site.logs(scene.machines))
        return error
    return None

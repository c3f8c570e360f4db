"""Many towns, one per seed, and what became of them all."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.simulation.plan import Plan
from tests.simulation.promise import broken
from tests.simulation.world import World, run_seed


@dataclass
class Tally:
    """What happened in a number of towns. `failures` has what is broken, by seed."""

    seeds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Take in what happened in other towns."""
        self.seeds += other.seeds
        self.counts.update(other.counts)
        self.failures |= other.failures

    def lines(self) -> list[str]:
        """Return the table to print."""
        rows = [
            ("seeds", self.seeds),
            *sorted(self.counts.items()),
            ("seeds that failed", len(self.failures)),
        ]
        return [f"{name:<24}{number:>10}" for name, number in rows]


def run_towns(
    seeds: Iterable[int], stop_at_failure: bool = False, change: Callable[[Plan], Plan] = lambda plan: plan
) -> Tally:
    """Run the town of each seed, its plan changed, and check the promise on it."""
    tally = Tally()
    for seed in seeds:
        world = run_seed(seed, change)
        wrong = broken(world)
        tally.seeds += 1
        tally.counts.update(_counts(world))
        world.close()
        if wrong:
            tally.failures[seed] = wrong
            if stop_at_failure:
                break
    return tally


def _counts(world: World) -> dict[str, int]:
    def number(query: str) -> int:
        (row,) = world.rows(query)
        return int(next(iter(row.values())))

    return {
        "orders": number("SELECT count(*) FROM orders"),
        "payments succeeded": number("SELECT count(*) FROM payments WHERE status = 'succeeded'"),
        "drinks": sum(brew.poured for board in world.boards for brew in board.iron.brews),
        "refunds": number("SELECT count(*) FROM refunds WHERE status = 'succeeded'"),
        "open cases": number("SELECT count(*) FROM cases WHERE closed_at IS NULL"),
        "server deaths": sum(service.deaths for service in world.services),
        "agent deaths": sum(board.deaths for board in world.boards),
    }

"""How large the loads are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """The bounds of every load. What is measured has no other numbers in it."""

    runs: int = 3
    part_times: int = 300
    """How often a bare part is measured in one run."""
    poll_connections: int = 64
    poll_s: float = 4.0
    agents: int = 1_000
    """Agents with journals and serial lines of their own."""
    sales: int = 12_000
    """Sold as fast as they go in one run, at most; fewer when its time is over first."""
    sales_s: float = 5.0
    sales_at_once: int = 64
    paced_sales: int = 300
    """Sold at a pace, in one run."""
    paced_per_s: float = 50.0
    shared_agents: int = 200
    """Agents of each server over PostgreSQL."""
    shared_sales: int = 2_000
    """Sold as fast as they go in one run by each of them, at most."""
    crowd: int = 10_000
    """Agents that are only connected."""
    crowd_sales: int = 750
    idle_s: float = 20.0
    """How long an idle agent is looked at: two of its looks at the machine."""
    grown: int = 1_000_000
    """Finished orders in the database whose sales are held against an empty one's."""
    grown_agents: int = 20
    grown_sales: int = 20
    """Sold by each of the two in turn, again and again in one run."""
    grown_per_s: float = 10.0


FULL = Scale()
TINY = Scale(
    runs=1,
    part_times=3,
    poll_connections=2,
    poll_s=0.2,
    agents=3,
    sales=6,
    sales_at_once=2,
    paced_sales=4,
    shared_agents=3,
    shared_sales=6,
    crowd=20,
    crowd_sales=4,
    idle_s=0.2,
    grown=2_000,
    grown_agents=2,
    grown_sales=2,
)
"""For a test that everything runs."""

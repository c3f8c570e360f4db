"""Which driver serves which machine: the one place where a driver's name becomes a machine."""

from collections.abc import Callable, Mapping

from agent.drivers.jura import JuraMachine, Products
from agent.drivers.jura_dialogue import Timing
from agent.machine import Machine

Factory = Callable[[str, str, Products, float | None], Machine]
"""Takes the port, the profile's name, the products and when a drink without proof is given up (None: the
profile knows); raises ValueError that names a wrong key."""


def _jura(port: str, profile: str, products: Products, make_limit_s: float | None) -> Machine:
    return JuraMachine(port, profile, products, Timing(brew_limit_s=make_limit_s))


DRIVERS: Mapping[str, Factory] = {"jura": _jura}
"""By the name in `machine.driver`. `jura`: Jura and other TOPTRONIC machines with a service port."""


def open_machine(
    driver: str, port: str, profile: str, products: Products, make_limit_s: float | None = None
) -> Machine:
    """Return the machine that `driver` serves at `port`; nothing is opened yet.

    Raises ValueError, naming the key of the agent's config, for what cannot be.
    """
    factory = DRIVERS.get(driver)
    if factory is None:
        raise ValueError(f"machine.driver: {driver!r} is not one of {', '.join(DRIVERS)}")
    return factory(port, profile, products, make_limit_s)

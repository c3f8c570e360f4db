"""What the demo's machines, merchants and menus are: its `load` file, and its agents' configurations."""

from dataclasses import dataclass
from pathlib import Path

from server.sandbox_tbank import PASSWORD, TERMINAL_KEY


@dataclass(frozen=True)
class DemoMachine:
    """One machine of the demo: its place, and how it behaves."""

    device_uuid: str
    location: str
    merchant: str
    scenario: str
    behaviour: tuple[str, ...]


DRY = ("--fail", "no-water", "--recover-s", "20", "--again")
MACHINES = (
    DemoMachine("demo-works", "Вестибюль, 1 этаж", "demo", "Sandbox", ("--fail", "none")),
    DemoMachine("demo-fails", "Переговорная, 4 этаж", "demo", "Sandbox", DRY),
    DemoMachine("demo-tbank", "Столовая, 2 этаж", "demo-tbank", "TBank", ("--fail", "none")),
)


def shop() -> str:
    """Return the demo's merchants, devices and menus as a `load` file."""
    drinks = """
[[devices.drinks]]
drink_no = "espresso"
name = "Эспрессо"
prices = { small = 9000 }
[[devices.drinks]]
drink_no = "coffee"
name = "Кофе"
prices = { medium = 11000 }
"""
    devices = "".join(
        f"""
[[devices]]
device_uuid = "{machine.device_uuid}"
merchant = "{machine.merchant}"
location = "{machine.location}"
payment_scenario = "{machine.scenario}"
client_info_make_failed = 'Звоните в любое время: <a href="tel:+74951234567">+7 495 123-45-67</a>'
{drinks}"""
        for machine in MACHINES
    )
    return f"""
[[merchants]]
id = "demo"
name = "Кофе у дома"
valid_until = 2099-12-31
hold_cards = true
[merchants.receipt]
vat_code = 1
email = "optional"
fallback_email = "receipts@coffee.example"
[[merchants]]
id = "demo-tbank"
name = "Кофе в столовой"
valid_until = 2099-12-31
hold_cards = true
[merchants.credentials.TBank]
terminal_key = "{TERMINAL_KEY}"
password = "{PASSWORD}"
{devices}"""


def agent_config(url: str, token: str, folder: Path, name: str, port: Path) -> str:
    """Return an agent's configuration: its server, its journal in the folder, and what the drinks are."""
    return f"""server = "{url.replace("http", "ws", 1)}/v1/agent"
token = "{token}"
journal = "{folder}/{name}-agent.db"
[machine]
driver = "jura"
port = "{port}"
[machine.products.espresso]
small = "FA:04"
[machine.products.coffee]
medium = "FA:09"
"""

"""A file for `load` that is right in everything, and a way to spoil a part of it."""

from pathlib import Path

GOOD = """
[[merchants]]
id = "m1"
name = "Кофе у дома"
valid_until = 2099-12-31
hold_cards = true
[merchants.receipt]
vat_code = 1
[merchants.credentials.Yookassa]
account_id = "100500"
secret_key = "test_secret"

[[devices]]
device_uuid = "dev-1"
merchant = "m1"
location = "ул. Ленина, 1"
payment_scenario = "Sandbox"
client_info_make_failed = 'Позвоните <a href="tel:+74951234567">+7 495 123-45-67</a>'
[[devices.drinks]]
drink_no = "espresso"
name = "Эспрессо"
prices = { small = 9000, medium = 11000 }
[[devices.drinks]]
drink_no = "latte"
name = "Латте"
prices = { large = 20000 }
receipt = { payment_subject = "service" }
"""


def replaced(file: Path, old: str, new: str) -> str:
    """Replace a part of the file and return its path."""
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    return str(file)

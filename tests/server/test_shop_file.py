"""The file for `load`: whatever is wrong in it, the error names it."""

from pathlib import Path

import pytest

from server.errors import SettingError
from server.shop_file import read_file
from tests.fakes.shop_file import GOOD, replaced


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.toml"
    path.write_text(GOOD, encoding="utf-8")
    return path


WRONG = {
    'id = "m1"': [
        ("", "id"),
        ("id = 5", r"merchants.*id"),
        ('id = ""', r"merchants.*id"),
        ('id = "a b"', r"merchants.*id"),
        ('id = "m1"\nphone = "1"', "phone"),
    ],
    'name = "Кофе у дома"': [("", "name"), ('name = ""', r"merchants.*name")],
    "valid_until = 2099-12-31": [
        ('valid_until = "2099-12-31"', "valid_until"),
        ("valid_until = 2099", "valid_until"),
        ("valid_until = 12:00:00", "valid_until"),
        ("valid_until = 2099-13-31", r"shop\.toml"),
    ],
    "hold_cards = true": [
        ('hold_cards = "yes"', r"merchants.*hold_cards"),
        ("hold_cards = 1", r"merchants.*hold_cards"),
        ("holds_cards = true", "holds_cards"),
    ],
    "vat_code = 1": [
        ("", r"vat_code.*merchants\[0\]\.receipt"),
        ("vat_code = 0", r"merchants.*receipt\.vat_code"),
        ("vat_code = 13", r"merchants.*receipt\.vat_code"),
        ('vat_code = "1"', r"merchants.*receipt\.vat_code"),
        ('vat_code = 1\npayment_subject = "coffee"', r"merchants.*receipt\.payment_subject"),
        ('vat_code = 1\npayment_mode = "cash"', r"merchants.*receipt\.payment_mode"),
        ('vat_code = 1\nmeasure = "cup"', r"merchants.*receipt\.measure"),
        ("vat_code = 1\ntax_system_code = 7", r"merchants.*receipt\.tax_system_code"),
        ('vat_code = 1\nemail = "never"', r"merchants.*receipt\.email"),
        ('vat_code = 1\nemail = "optional"', r"merchants\[0\]\.receipt\.fallback_email is needed"),
        ('vat_code = 1\nfallback_email = "nobody"', r"merchants\[0\]\.receipt\.fallback_email"),
        ("vat_code = 1\ninn = 5", "inn"),
    ],
    'receipt = { payment_subject = "service" }': [
        ("receipt = { vat_code = 99 }", r"devices.*drinks.*receipt\.vat_code"),
        ('receipt = { measure = "cup" }', r"devices.*drinks.*receipt\.measure"),
        ('receipt = { payment_mode = "cash" }', r"devices.*drinks.*receipt\.payment_mode"),
        ('receipt = { payment_subject = "food" }', r"devices.*drinks.*receipt\.payment_subject"),
        ('receipt = { email = "required" }', "email"),
        ("receipt = 5", r"devices.*drinks.*receipt"),
    ],
    "[merchants.credentials.Yookassa]": [("[merchants.credentials.Yokassa]", r"credentials\.Yokassa")],
    'account_id = "100500"': [
        ("", r"credentials\.Yookassa\.account_id"),
        ("account_id = 100500", r"credentials\.Yookassa\.account_id"),
    ],
    'secret_key = "test_secret"': [('secret_key = " "', r"credentials\.Yookassa\.secret_key")],
    'device_uuid = "dev-1"': [("", "device_uuid"), ('device_uuid = "dev/1"', r"devices.*device_uuid")],
    'merchant = "m1"': [("", "merchant")],
    'location = "ул. Ленина, 1"': [("", "location"), ('location = ""', r"devices.*location")],
    'payment_scenario = "Sandbox"': [
        ("", "payment_scenario"),
        ('payment_scenario = "sandbox"', r"devices\[0\]\.payment_scenario"),
        ('payment_scenario = "Sandbox"\nlogo_url = "http://x/a.png"', r"devices\[0\]\.logo_url"),
        ('payment_scenario = "Sandbox"\nredirect_url = "x"', r"devices\[0\]\.redirect_url"),
        ('payment_scenario = "Sandbox"\nclient_info = 5', r"devices.*client_info"),
        (f'payment_scenario = "Sandbox"\nclient_info = "{"x" * 4001}"', r"devices.*client_info"),
        ('payment_scenario = "Sandbox"\nclient_inf = "x"', "client_inf"),
    ],
    'drink_no = "espresso"': [("", "drink_no"), ('drink_no = "latte"', r"devices\[0\]\.drinks.*latte")],
    "prices = { small = 9000, medium = 11000 }": [
        ("", "prices"),
        ("prices = {}", r"devices\[0\]\.drinks\[0\]\.prices"),
        ("prices = { small = 90.5 }", r"drinks.*prices\.small"),
        ("prices = { small = 99 }", r"drinks.*prices\.small"),
        ("prices = { small = -9000 }", r"drinks.*prices\.small"),
        ("prices = { small = 35000001 }", r"drinks.*prices\.small"),
        ('prices = { small = "9000" }', r"drinks.*prices\.small"),
        ("prices = { huge = 9000 }", "huge"),
    ],
    "[[devices.drinks]]": [("[[devices.drink]]", "drink")],
    "[[merchants]]": [("[[merchant]]", "merchant"), ("[[merchants", r"shop\.toml")],
}
CASES = [(old, new, why) for old, wrongs in WRONG.items() for new, why in wrongs]


@pytest.mark.parametrize(
    ("old", "new", "why"), CASES, ids=[new[-40:] or f"no {old[:20]}" for old, new, _ in CASES]
)
def test_a_wrong_key_is_named(file: Path, old: str, new: str, why: str):
    with pytest.raises(SettingError, match=why) as error:
        read_file(replaced(file, old, new))
    assert str(file) in str(error.value)


@pytest.mark.parametrize("what", ["[[merchants]]", "[[devices]]"])
def test_what_stands_twice_is_named(file: Path, what: str):
    more = '[[merchants]]\nid = "m1"\nname = "x"\n'
    if what == "[[devices]]":
        more = GOOD[GOOD.index("[[devices]]") : GOOD.index("[[devices.drinks]]")]
    file.write_text(GOOD + more, encoding="utf-8")
    with pytest.raises(SettingError, match="stands twice"):
        read_file(str(file))


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"\x00", b"= 5", b"[[devices]]\n[[devices]", b"a = " + b"[" * 9999]
)
def test_what_is_no_toml_is_refused(file: Path, content: bytes):
    file.write_bytes(content)
    with pytest.raises(SettingError, match=r"shop\.toml"):
        read_file(str(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(SettingError, match=r"cannot read .*none\.toml"):
        read_file(str(tmp_path / "none.toml"))

"""A machine's texts as forms bring them."""

import pytest

from server.device_texts import FIELDS, LIMIT, WORDS, previews, read_form, wrong


def test_line_ends_and_spaces_of_browsers_change_nothing():
    assert read_form({"client_info": " a\r\nb\rc \0"}) == {"client_info": "a\nb\nc"}


def test_an_empty_text_is_none_and_one_not_given_is_left_out():
    assert read_form({"client_info": "  ", "csrf": "x", "device_uuid": "y"}) == {"client_info": None}


def test_the_longest_text_is_right_and_a_longer_one_wrong():
    values = {"client_info": "ж" * LIMIT, "client_info_paid": "ж" * (LIMIT + 1), "logo_url": None}
    assert list(wrong(values, "ru")) == ["client_info_paid"]


@pytest.mark.parametrize(
    "logo_url",
    [
        "https://coffee.example",
        "https://xn--90ae.xn--p1ai/%D0%BA.svg",
        "https://10.0.0.1:8443/a/b.png?x=1&y=%20#z",
    ],
)
def test_a_plain_https_address_may_be_a_logo(logo_url: str):
    assert wrong({"logo_url": logo_url}, "ru") == {}


@pytest.mark.parametrize(
    "logo_url",
    [
        "http://coffee.example/a.png",
        "//coffee.example/a.png",
        "https://кофе.рф/a.png",
        "https://a b/",
        "https://a/'b",
        "https://a/;b",
        "https://-/",
        "https://a/\n",
        "HTTPS://a/",
    ],
)
def test_anything_else_may_not(logo_url: str):
    assert list(wrong({"logo_url": logo_url}, "en")) == ["logo_url"]


def test_every_text_has_a_preview_and_the_logo_none():
    shown = previews({"client_info": "<b>a</b><script>b</script>"})
    assert shown.pop("client_info") == "<b>a</b>"
    assert set(shown.values()) == {""}
    assert set(WORDS) | {"logo_url"} == set(FIELDS)

"""The words of the product: those known from before word for word, and none missing in either language."""

import re
from pathlib import Path

import pytest

from agent.wire import Code
from server import texts
from server.order import Refund, Status

ROOT = Path(__file__).parent.parent.parent

KNOWN_STATUSES = {
    "created": "Подтвердите заказ для оплаты",
    "pending": "Проверяем оплату заказа...",
    "paid": "Заказ успешно оплачен, начинаем готовить",
    "not_paid": "Оплата не прошла",
    "make_pending": "Готовим напиток...",
    "manual_make": "Требуется ручное приготовление",
    "successful": "Напиток готов",
    "failed": "Произошла ошибка при обработке заказа",
    "make_failed": "Не удалось отправить команду на приготовление. Пожалуйста, обратитесь в поддержку.",
}

KNOWN_ERRORS = {
    "order_not_found": "Заказ не найден. Пожалуйста, отсканируйте QR-код снова.",
    "order_expired": "Время заказа истекло. Пожалуйста, создайте новый заказ.",
    "payment_creation_failed": "Не удалось создать платеж. Пожалуйста, попробуйте позже.",
    "service_unavailable": "Сервис временно недоступен. Пожалуйста, попробуйте позже.",
    "invalid_request": "Некорректный запрос. Пожалуйста, попробуйте снова.",
    "missing_credentials": "Платежная система не настроена. Обратитесь к администратору.",
    "missing_order_id": "Отсутствует идентификатор заказа. Пожалуйста, попробуйте снова.",
    "missing_parameters": (
        "Отсутствуют обязательные параметры запроса. Пожалуйста, отсканируйте QR-код снова."
    ),
    "device_not_found": "Устройство не найдено. Пожалуйста, обратитесь к администратору.",
    "merchant_expired": "Доступ к устройству запрещен. Пожалуйста, обратитесь к администратору.",
    "invalid_request_hash": "Некорректный запрос. Пожалуйста, отсканируйте QR-код снова.",
    "device_offline": (
        "Кофемашина недоступна. Пожалуйста, попробуйте другое устройство или обратитесь к администратору."
    ),
    "heartbeat_check_failed": "Не удалось проверить статус устройства. Пожалуйста, попробуйте позже.",
    "invalid_order_id": "Некорректный идентификатор заказа. Пожалуйста, отсканируйте QR-код снова.",
    "status_update_failed": "Не удалось обновить статус заказа. Пожалуйста, обновите страницу.",
    "invalid_email": "Некорректный формат email. Пожалуйста, введите корректный email.",
    "email_required": "Email обязателен для получения чека.",
    "receipt_creation_failed": "Не удалось создать чек. Платеж выполнен успешно.",
    "payment_check_failed": "Не удалось проверить статус платежа. Пожалуйста, обратитесь в поддержку.",
    "payment_attempts_exceeded": (
        "Превышено количество попыток проверки платежа. Пожалуйста, обратитесь в поддержку."
    ),
}

KNOWN_ELSEWHERE = [
    "Создание платежа...",
    "Перенаправление на страницу оплаты...",
    "Загрузка информации о заказе...",
    "Обработка заказа...",
    "Не удалось отправить команду на приготовление напитка",
    "Платеж требует ручного подтверждения",
    "Ваш платеж прошел успешно, но напиток требует ручного приготовления. "
    "Пожалуйста, обратитесь к персоналу.",
    "Статус заказа",
    "Ошибка",
    "Ваш заказ",
    "Адрес:",
    "Напиток:",
    "Размер:",
    "Цена:",
    "Перейти к оплате",
    "Повторить оплату",
    "Email для чека:",
    "Email обязателен для получения чека",
    "Пожалуйста, введите корректный email",
    "Время действия заказа истекло. Пожалуйста, отсканируйте QR-код снова.",
    "Попробовать снова",
    "Не удалось загрузить информацию о заказе. Пожалуйста, попробуйте снова.",
    "Не удалось связаться с сервером. Пожалуйста, проверьте подключение к интернету и попробуйте снова.",
    "Произошла ошибка при создании платежа. Пожалуйста, попробуйте снова.",
    "маленький",
    "средний",
    "большой",
    "неизвестный размер",
    "Оплата напитка: {drink_name}",
    "Некорректный формат email",
]

ALL = {f"{table}.{name}": words for table, rows in texts.TABLES.items() for name, words in rows.items()}


def test_the_statuses_read_as_they_always_did():
    assert texts.STATUS_TEXT == KNOWN_STATUSES
    assert set(texts.STATUS_TEXT) == set(Status)


@pytest.mark.parametrize("name", KNOWN_ERRORS)
def test_a_known_error_reads_as_it_always_did(name: str):
    assert texts.ERRORS[name].ru == KNOWN_ERRORS[name]


@pytest.mark.parametrize("known", KNOWN_ELSEWHERE)
def test_a_known_text_of_the_pages_is_kept(known: str):
    assert known in {words.ru for words in ALL.values()}


@pytest.mark.parametrize("key", ALL)
def test_a_text_is_there_in_both_languages(key: str):
    words = ALL[key]
    assert words.ru.strip() and words.en.strip()
    assert not re.search("[а-яё]", words.en, re.IGNORECASE)
    assert re.findall(r"\{\w+\}", words.ru) == re.findall(r"\{\w+\}", words.en)


@pytest.mark.parametrize("code", Code)
def test_every_failure_is_told_to_customer_and_technician(code: Code):
    told = texts.FAILURES[code]
    for words in (told.customer, told.technician, told.action):
        assert words.ru.strip() and words.en.strip()
    assert told.severity in texts.SEVERITY


def test_where_the_code_proves_nothing_the_drink_is_not_called_surely_not_made():
    unsure = {code for code, told in texts.FAILURES.items() if not told.sure_not_made}
    assert {"power_loss", "timeout_no_result", "serial_no_answer", "internal_error"} <= unsure
    assert unsure.isdisjoint({"agent_offline", "agent_rejected_busy", "expired_before_start", "no_water"})


def test_every_state_of_a_refund_has_a_short_and_a_long_text():
    assert set(texts.REFUND) == {f"{state}{length}" for state in Refund for length in ("", "_long")}
    assert texts.text("refund.pending") == "возвращаем"
    assert texts.text("refund.succeeded") == "возвращено"


def test_every_kind_of_case_in_the_schema_has_a_name():
    kinds = re.search(r"CREATE TABLE cases \(.*?CHECK \(kind IN \((.*?)\)", _schema(), re.DOTALL)
    assert kinds
    assert set(re.findall(r"'(\w+)'", kinds[1])) <= set(texts.CASES)


def test_a_text_is_filled_with_values():
    assert texts.text("info.payment_description", drink_name="Раф {0}") == "Оплата напитка: Раф {0}"


def test_an_unknown_language_reads_russian():
    assert texts.text("status.paid", "de") == KNOWN_STATUSES["paid"]
    assert texts.text("status.paid", "en") == "Paid, starting to make it"


def test_an_unknown_key_is_a_mistake_of_ours():
    with pytest.raises(KeyError):
        texts.text("status.lost")


def test_a_code_from_a_newer_agent_still_has_words():
    assert texts.failure("moon_phase") is texts.FAILURES[Code.INTERNAL_ERROR]
    assert texts.failure_customer("no_water", "en") == "The coffee machine is out of water."


@pytest.mark.parametrize(
    ("header", "language"),
    [("", "ru"), ("en-GB,en;q=0.9", "en"), ("de,en;q=0.5", "en"), ("ru,en", "ru"), ("*;;,", "ru")],
)
def test_the_first_language_we_speak_is_chosen(header: str, language: str):
    assert texts.choose_language(header) == language


def _schema() -> str:
    return (ROOT / "schema.sql").read_text()

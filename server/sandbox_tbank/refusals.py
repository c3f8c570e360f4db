"""The sandbox T-Bank's refusals: error codes with T-Bank's words for them. Pure.

From developer.tbank.ru/eacq/intro/errors/error-codes; where T-Bank does not say which code it gives, the
nearest one is ours.
"""

from typing import Any

WORDS = {
    "1": "Параметры не сопоставлены.",
    "8": "Неверный статус транзакции.",
    "12": "Неверный параметр RedirectDueDate.",
    "53": "Обратитесь к продавцу.",
    "99": "Попробуйте повторить попытку позже.",
    "201": "Поле не должно быть пустым.",
    "202": "Терминал заблокирован.",
    "203": "Параметры запроса не должны быть пустыми.",
    "204": "Неверный токен. Проверьте пару TerminalKey/SecretKey.",
    "212": "Неверный размер поля OrderId.",
    "213": "Неверный размер поля Description.",
    "251": "Неверная сумма.",
    "255": "Платеж не найден.",
    "308": "Сумма всех позиций в чеке должна равняться сумме всех видов оплаты.",
    "309": "Поле Receipt не должно быть пустым.",
    "330": "Сумма больше допустимой.",
    "331": "Неизвестный терминал.",
    "335": "Заказ не найден.",
    "3001": "Оплата через QrPay недоступна.",
    "3002": "Недостаточный баланс счёта для отмены.",
    "3016": "Невозможно создать QR.",
    "9999": "Внутренняя ошибка системы.",
}


class Refused(Exception):
    """The bank's refusal. It is told with HTTP 200; `details` are for the shop's developer."""

    def __init__(self, code: str, details: str = "") -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details

    def body(self) -> dict[str, Any]:
        """Return the answer."""
        words = WORDS.get(self.code, "Ошибка.")
        return {"Success": False, "ErrorCode": self.code, "Message": words, "Details": self.details or words}

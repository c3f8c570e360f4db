"""Every word the product says to people, Russian first, English beside it. Pure; chooses nothing by itself.

A text is asked for by its dotted key (`text("status.paid", "en")`); the part before the dot names its table.
"""

from functools import lru_cache
from typing import Literal, NamedTuple

from agent.wire import Code

DEFAULT_LANGUAGE = "ru"
LANGUAGES = ("ru", "en")

Severity = Literal["info", "warning", "critical"]


class Text(NamedTuple):
    """One text in both languages."""

    ru: str
    en: str


class FailureText(NamedTuple):
    """What is said and done about one failure code.

    `sure_not_made`: the code alone proves that the ordered drink did not come out. `stops_selling`: until the
    cause is gone, the next drink would fail too.
    """

    customer: Text
    technician: Text
    action: Text
    severity: Severity
    sure_not_made: bool
    stops_selling: bool


def text(key: str, lang: str = DEFAULT_LANGUAGE, **values: object) -> str:
    """Return the text `table.name`, in Russian when `lang` is not known; `{name}` is filled from `values`.

    Raises KeyError for a key that does not exist.
    """
    table, _, name = key.partition(".")
    return _filled(TABLES[table][name], lang, values)


def failure_customer(code: str, lang: str = DEFAULT_LANGUAGE) -> str:
    """Return what a customer reads about a failure; an unknown code reads as an internal error."""
    return _filled(failure(code).customer, lang, {})


def failure(code: str) -> FailureText:
    """Return the texts of a failure code; a code this server does not know counts as an internal error."""
    known = code in Code.__members__.values()
    return FAILURES[Code(code) if known else Code.INTERNAL_ERROR]


@lru_cache(maxsize=256)
def choose_language(accept_language: str) -> str:
    """Return the language for an `Accept-Language` header: the first one that we speak, or Russian."""
    for choice in accept_language.lower().split(","):
        primary = choice.split(";")[0].strip().split("-")[0]
        if primary in LANGUAGES:
            return primary
    return DEFAULT_LANGUAGE


def _filled(chosen: Text, lang: str, values: dict[str, object]) -> str:
    words = chosen.en if lang == "en" else chosen.ru
    return words.format(**values) if values else words


ERRORS: dict[str, Text] = {
    "order_not_found": Text(
        "Заказ не найден. Пожалуйста, отсканируйте QR-код снова.",
        "Order not found. Please scan the QR code again.",
    ),
    "order_expired": Text(
        "Время заказа истекло. Пожалуйста, создайте новый заказ.",
        "The order has expired. Please make a new one.",
    ),
    "payment_creation_failed": Text(
        "Не удалось создать платеж. Пожалуйста, попробуйте позже.",
        "The payment could not be started. Please try later.",
    ),
    "service_unavailable": Text(
        "Сервис временно недоступен. Пожалуйста, попробуйте позже.",
        "The service is unavailable for the moment. Please try later.",
    ),
    "invalid_request": Text(
        "Некорректный запрос. Пожалуйста, попробуйте снова.",
        "The request is not valid. Please try again.",
    ),
    "missing_credentials": Text(
        "Платежная система не настроена. Обратитесь к администратору.",
        "Payments are not set up here. Please tell the administrator.",
    ),
    "missing_order_id": Text(
        "Отсутствует идентификатор заказа. Пожалуйста, попробуйте снова.",
        "The order number is missing. Please try again.",
    ),
    "missing_parameters": Text(
        "Отсутствуют обязательные параметры запроса. Пожалуйста, отсканируйте QR-код снова.",
        "The link is not complete. Please scan the QR code again.",
    ),
    "device_not_found": Text(
        "Устройство не найдено. Пожалуйста, обратитесь к администратору.",
        "Machine not found. Please tell the administrator.",
    ),
    "merchant_expired": Text(
        "Доступ к устройству запрещен. Пожалуйста, обратитесь к администратору.",
        "This machine may not sell. Please tell the administrator.",
    ),
    "invalid_request_hash": Text(
        "Некорректный запрос. Пожалуйста, отсканируйте QR-код снова.",
        "The link is not valid. Please scan the QR code again.",
    ),
    "device_offline": Text(
        "Кофемашина недоступна. Пожалуйста, попробуйте другое устройство или обратитесь к администратору.",
        "The coffee machine cannot be reached. Please try another one or tell the administrator.",
    ),
    "heartbeat_check_failed": Text(
        "Не удалось проверить статус устройства. Пожалуйста, попробуйте позже.",
        "The machine's state could not be checked. Please try later.",
    ),
    "invalid_order_id": Text(
        "Некорректный идентификатор заказа. Пожалуйста, отсканируйте QR-код снова.",
        "The order number is not valid. Please scan the QR code again.",
    ),
    "status_update_failed": Text(
        "Не удалось обновить статус заказа. Пожалуйста, обновите страницу.",
        "The order's state could not be refreshed. Please reload the page.",
    ),
    "method_not_offered": Text(
        "Этот способ оплаты здесь недоступен. Пожалуйста, выберите другой.",
        "This way to pay is not offered here. Please choose another.",
    ),
    "invalid_email": Text(
        "Некорректный формат email. Пожалуйста, введите корректный email.",
        "This is not an e-mail address. Please enter a valid one.",
    ),
    "email_required": Text(
        "Email обязателен для получения чека.",
        "An e-mail address is needed for the receipt.",
    ),
    "receipt_creation_failed": Text(
        "Не удалось создать чек. Платеж выполнен успешно.",
        "The receipt could not be made. The payment went through.",
    ),
    "payment_check_failed": Text(
        "Не удалось проверить статус платежа. Пожалуйста, обратитесь в поддержку.",
        "The payment's state could not be checked. Please contact support.",
    ),
    "payment_attempts_exceeded": Text(
        "Превышено количество попыток проверки платежа. Пожалуйста, обратитесь в поддержку.",
        "The payment was checked too many times without an answer. Please contact support.",
    ),
    "invalid_email_format": Text("Некорректный формат email", "Not a valid e-mail address"),
    "make_command_failed": Text(
        "Не удалось отправить команду на приготовление напитка",
        "The make command could not be sent",
    ),
    "payment_needs_confirmation": Text(
        "Платеж требует ручного подтверждения",
        "The payment must be confirmed by hand",
    ),
    "order_load_failed": Text(
        "Не удалось загрузить информацию о заказе. Пожалуйста, попробуйте снова.",
        "The order could not be loaded. Please try again.",
    ),
    "server_unreachable": Text(
        "Не удалось связаться с сервером. Пожалуйста, проверьте подключение к интернету и попробуйте снова.",
        "The server could not be reached. Please check your connection and try again.",
    ),
    "payment_start_failed": Text(
        "Произошла ошибка при создании платежа. Пожалуйста, попробуйте снова.",
        "Something went wrong while starting the payment. Please try again.",
    ),
    "drink_not_found": Text(
        "Такого напитка в меню нет. Пожалуйста, отсканируйте QR-код снова.",
        "This drink is not on the menu. Please scan the QR code again.",
    ),
    "order_mismatch": Text(
        "Этот номер заказа уже занят другим заказом. Пожалуйста, отсканируйте QR-код снова.",
        "This order number belongs to another order. Please scan the QR code again.",
    ),
    "order_not_payable": Text(
        "Этот заказ уже нельзя оплатить.",
        "This order can no longer be paid.",
    ),
    "choice_not_possible": Text(
        "Этот выбор уже сделан или больше не доступен.",
        "This choice has been made already or is no longer open.",
    ),
    "page_not_found": Text("Такой страницы нет.", "There is no such page."),
    "too_many_requests": Text(
        "Слишком много запросов. Пожалуйста, подождите минуту.",
        "Too many requests. Please wait a minute.",
    ),
    "internal": Text(
        "Произошла ошибка. Мы уже знаем о ней. Пожалуйста, попробуйте позже.",
        "Something went wrong. We already know about it. Please try later.",
    ),
    "wrong_login": Text("Неверное имя или пароль.", "Wrong name or password."),
    "login_expired": Text(
        "Сессия закончилась. Войдите ещё раз.",
        "Your session is over. Please sign in again.",
    ),
    "agent_token_wrong": Text(
        "Нужен действующий токен агента: Authorization: Bearer. Новый создаёт `device token` на сервере.",
        "A valid token of an agent is needed: Authorization: Bearer. "
        "`device token` on the server makes a new one.",
    ),
    "program_token_wrong": Text(
        "Нужен действующий токен программы: Authorization: Bearer. Новый создаёт `user token` на сервере.",
        "A valid token of a program is needed: Authorization: Bearer. "
        "`user token` on the server makes a new one.",
    ),
    "sender_not_allowed": Text(
        "С этого адреса уведомления не принимаются.",
        "Notifications are not taken from this address.",
    ),
    "signature_wrong": Text(
        "Подпись уведомления не подходит к терминалу.",
        "The notification is not signed by its terminal.",
    ),
    "other_site": Text(
        "Форму прислал другой сайт, она не выполнена. Откройте страницу здесь и попробуйте снова.",
        "The form was sent by another site and nothing was done. Open the page here and try again.",
    ),
    "too_large": Text(
        "Слишком много данных в одном запросе. Ничего не сохранено.",
        "The request holds too much. Nothing was saved.",
    ),
    "method_not_allowed": Text(
        "Этот адрес не принимает такие запросы.",
        "This address does not take such requests.",
    ),
    "form_expired": Text(
        "Форма устарела. Обновите страницу и попробуйте снова.",
        "The form is out of date. Reload the page and try again.",
    ),
    "reason_required": Text("Напишите причину.", "Please write the reason."),
    "bad_logo_url": Text(
        "Нужен адрес картинки, который начинается с https://",
        "The address of a picture is needed, beginning with https://",
    ),
    "too_long": Text(
        "Слишком длинный текст: не больше {limit} знаков.",
        "The text is too long: {limit} characters at most.",
    ),
}

INFO: dict[str, Text] = {
    "creating_payment": Text("Создание платежа...", "Starting the payment..."),
    "redirecting": Text("Перенаправление на страницу оплаты...", "Taking you to the payment page..."),
    "loading_order": Text("Загрузка информации о заказе...", "Loading the order..."),
    "processing_order": Text("Обработка заказа...", "Working on the order..."),
    "payment_description": Text("Оплата напитка: {drink_name}", "Payment for a drink: {drink_name}"),
}

_STATUS: dict[str, Text] = {
    "created": Text("Подтвердите заказ для оплаты", "Confirm the order to pay"),
    "pending": Text("Проверяем оплату заказа...", "Checking the payment..."),
    "paid": Text("Заказ успешно оплачен, начинаем готовить", "Paid, starting to make it"),
    "not_paid": Text("Оплата не прошла", "The payment did not go through"),
    "make_pending": Text("Готовим напиток...", "Making your drink..."),
    "manual_make": Text("Требуется ручное приготовление", "Your drink is waiting for your word"),
    "successful": Text("Напиток готов", "Your drink is ready"),
    "failed": Text(
        "Произошла ошибка при обработке заказа",
        "Something went wrong with the order",
    ),
    "make_failed": Text(
        "Не удалось отправить команду на приготовление. Пожалуйста, обратитесь в поддержку.",
        "The make command could not be sent. Please contact support.",
    ),
}

STATUS_TEXT: dict[str, str] = {status: words.ru for status, words in _STATUS.items()}
"""The nine statuses in Russian, word for word as machines, printed codes and reports know them."""

REFUND: dict[str, Text] = {
    "pending": Text("возвращаем", "refunding"),
    "succeeded": Text("возвращено", "refunded"),
    "failed": Text("возвратом занимается сотрудник", "a person is on the refund"),
    "pending_long": Text(
        "Возвращаем деньги. Обычно это занимает от нескольких минут до суток, смотря какой банк.",
        "We are sending your money back. It takes from minutes to a day, depending on the bank.",
    ),
    "succeeded_long": Text(
        "Деньги возвращены. Банк покажет их на том счёте, с которого вы платили.",
        "Your money has been returned. The bank will show it on the account you paid from.",
    ),
    "failed_long": Text(
        "Вернуть деньги автоматически не получилось. Возвратом уже занимается сотрудник, деньги не пропадут.",
        "The automatic refund did not work. A person is already on it, your money is safe.",
    ),
}

SIZES: dict[str, Text] = {
    "small": Text("маленький", "small"),
    "medium": Text("средний", "medium"),
    "large": Text("большой", "large"),
    "unknown": Text("неизвестный размер", "unknown size"),
}

PAGE: dict[str, Text] = {
    "status_title": Text("Статус заказа", "Order status"),
    "error_title": Text("Ошибка", "Error"),
    "your_order": Text("Ваш заказ", "Your order"),
    "location": Text("Адрес:", "Address:"),
    "drink": Text("Напиток:", "Drink:"),
    "size": Text("Размер:", "Size:"),
    "price": Text("Цена:", "Price:"),
    "refund": Text("Возврат:", "Refund:"),
    "order_no": Text("Номер заказа:", "Order number:"),
    "pay": Text("Перейти к оплате", "Go to payment"),
    "pay_again": Text("Повторить оплату", "Pay again"),
    "pay_by_sbp": Text("Оплатить через СБП", "Pay by SBP"),
    "pay_by_card": Text("Оплатить картой", "Pay by card"),
    "sbp_scan": Text(
        "Отсканируйте код камерой телефона и подтвердите оплату в приложении банка.",
        "Scan the code with your phone and confirm the payment in your bank's app.",
    ),
    "sbp_open": Text("Открыть приложение банка", "Open the bank's app"),
    "sbp_qr": Text("QR-код для оплаты через СБП", "QR code to pay by SBP"),
    "money_held": Text(
        "Деньги удержаны, но не списаны: спишем их, когда напиток будет готов.",
        "Your money is held, not taken: we take it when the drink is ready.",
    ),
    "release_pending": Text(
        "Деньги были только удержаны, не списаны. Снимаем удержание.",
        "Your money was only held, not taken. We are releasing it.",
    ),
    "release_succeeded": Text(
        "Удержание снято, ничего не списано. Деньги снова доступны, банк может показать это не сразу.",
        "The hold is released and nothing was taken. The bank may take a while to show it.",
    ),
    "receipt_payment": Text("Кассовый чек", "Receipt"),
    "receipt_refund": Text("Кассовый чек возврата", "Receipt of the refund"),
    "receipt_pending": Text("регистрируется в налоговой", "being registered"),
    "receipt_qr": Text("QR-код чека", "QR code of the receipt"),
    "receipt_refund_failed": Text(
        "Не удалось создать чек возврата. Этим займётся сотрудник.",
        "The receipt of the refund could not be made. A person will see to it.",
    ),
    "email_optional": Text("необязательно", "optional"),
    "back_to_payment": Text("Вернуться к оплате", "Back to payment"),
    "email": Text("Email для чека:", "E-mail for the receipt:"),
    "email_required": Text("Email обязателен для получения чека", "An e-mail is needed for the receipt"),
    "email_invalid": Text("Пожалуйста, введите корректный email", "Please enter a valid e-mail"),
    "expired": Text(
        "Время действия заказа истекло. Пожалуйста, отсканируйте QR-код снова.",
        "The order has expired. Please scan the QR code again.",
    ),
    "time_left": Text("Оплатите в течение", "Pay within"),
    "try_again": Text("Попробовать снова", "Try again"),
    "refresh": Text("Обновить", "Refresh"),
    "manual_make_info": Text(
        "Ваш платеж прошел успешно, но напиток требует ручного приготовления. "
        "Пожалуйста, обратитесь к персоналу.",
        "Your payment went through, but the drink has to be started by hand. Please ask the staff.",
    ),
    "manual_make_choice": Text(
        "Или решите сами: если вы у автомата, приготовим сейчас, если нет, вернём деньги.",
        "Or decide yourself: if you are at the machine, we make it now; if not, we return the money.",
    ),
    "make_now": Text("Приготовить сейчас", "Make it now"),
    "money_back": Text("Вернуть деньги", "Money back"),
    "choosing": Text("Отправляем ваш выбор...", "Sending your choice..."),
    "unknown_title": Text(
        "Выясняем, готов ли ваш напиток",
        "We are finding out whether your drink came out",
    ),
    "unknown_text": Text(
        "Автомат не подтвердил, что напиток готов. Мы пока не знаем, вышел ли он, и не будем угадывать: "
        "этим уже занимается сотрудник. Деньги не пропадут: у вас будет или напиток, или возврат.",
        "The machine has not confirmed the drink. We do not know yet whether it came out and will not guess: "
        "a person is looking into it. Your money is safe: you get either the drink or a refund.",
    ),
    "keep_link": Text(
        "Страницу можно закрыть: заказ сохранится по этой же ссылке.",
        "You may close this page: the order stays at the same link.",
    ),
    "successful_text": Text("Осторожно, горячо. Хорошего дня!", "Careful, it is hot. Have a good day!"),
    "not_paid_text": Text(
        "Банк не провёл платёж. Можно попробовать ещё раз.",
        "The bank did not make the payment. You may try again.",
    ),
    "failed_text": Text("Деньги за этот заказ не списаны.", "Nothing was charged for this order."),
    "pending_text": Text(
        "Обычно это занимает несколько секунд. Уже оплатили? Просто подождите.",
        "It usually takes a few seconds. Paid already? Just wait.",
    ),
    "make_pending_text": Text(
        "Подставьте чашку, если автомат её не выдаёт.", "Put a cup if the machine gives none."
    ),
    "offline": Text(
        "Нет связи с интернетом. Заказ в порядке, пробуем подключиться...",
        "No internet connection. Your order is fine, trying to reconnect...",
    ),
    "server_trouble": Text(
        "Сервер пока не отвечает. Заказ в порядке, пробуем ещё раз...",
        "The server does not answer yet. Your order is fine, trying again...",
    ),
    "no_script": Text(
        "В браузере выключен JavaScript. Статус обновится сам, но для оплаты JavaScript нужно включить.",
        "JavaScript is off in this browser. The status refreshes by itself, but paying needs JavaScript.",
    ),
    "step_payment": Text("Оплата", "Payment"),
    "step_making": Text("Готовим", "Making"),
    "step_ready": Text("Готово", "Ready"),
    "home": Text("Отсканируйте код на кофемашине", "Scan the code on the coffee machine"),
    "home_how": Text(
        "Откроется её меню: выберите напиток, оплатите и смотрите на странице заказа, как он готовится.",
        "Its menu opens: choose a drink, pay, and watch on the order's page how it is made.",
    ),
    "home_paid": Text(
        "Уже платили? Что стало с напитком и деньгами, написано на странице заказа: откройте её снова из "
        "истории браузера.",
        "Have you paid already? The order's page says what became of the drink and the money: open it again "
        "from your browser's history.",
    ),
    "home_technicians": Text("Вход для техников и операторов", "Technicians and operators sign in here"),
    "menu_title": Text("Меню", "Menu"),
    "choose": Text("Выберите напиток", "Choose a drink"),
    "not_selling": Text("Автомат сейчас не продаёт", "The machine is not selling now"),
    "check_again": Text("Проверить ещё раз", "Check again"),
    "menu_empty": Text("Меню пока пустое.", "The menu is empty for now."),
    "pay_promise": Text(
        "Если напиток не получится, деньги вернутся.",
        "If the drink cannot be made, your money comes back.",
    ),
}

SANDBOX: dict[str, Text] = {
    "title": Text("Тестовый банк", "Sandbox bank"),
    "notice": Text(
        "Это песочница: настоящие деньги не списываются.",
        "This is a sandbox: no real money is taken.",
    ),
    "to": Text("Получатель", "To"),
    "what_for": Text("За что", "For"),
    "payment_id": Text("Номер платежа", "Payment number"),
    "succeed": Text("Оплатить", "Pay"),
    "cancel": Text("Отказаться", "Cancel"),
    "closed": Text("Этот платёж уже завершён.", "This payment is already over."),
    "no_such_payment": Text(
        "Такого платежа нет. Проверьте ссылку или начните оплату заново на странице заказа.",
        "There is no such payment. Check the link, or start again on the order's page.",
    ),
    "no_such_result": Text(
        "Оплату можно только подтвердить или отменить: result — это succeeded или canceled.",
        "A payment can only be confirmed or canceled: result is succeeded or canceled.",
    ),
    "succeeded": Text("Оплачен", "Paid"),
    "canceled": Text("Отменён", "Cancelled"),
    "waiting_for_capture": Text("Деньги заморожены", "Money on hold"),
    "pending": Text("Ждёт оплаты", "Waiting for payment"),
}

MACHINE: dict[str, Text] = {
    "ready": Text("Готова", "Ready"),
    "busy": Text("Готовит", "Busy"),
    "error": Text("Ошибка", "Error"),
    "offline": Text("Не отвечает", "Does not answer"),
    "unknown": Text("Неизвестно", "Unknown"),
}

SEVERITY: dict[str, Text] = {
    "info": Text("к сведению", "for information"),
    "warning": Text("внимание", "warning"),
    "critical": Text("срочно", "critical"),
}

CASES: dict[str, Text] = {
    "outcome_unknown": Text("Неизвестно, вышел ли напиток", "Not known whether the drink came out"),
    "delivered_and_refunded": Text("Напиток выдан, а деньги возвращены", "Drink made and money returned"),
    "refund_failed": Text("Возврат не прошёл", "The refund did not work"),
    "payment_mismatch": Text("Платёж не сходится с заказом", "The payment does not match the order"),
    "payment_unasked": Text(
        "Платёж сутки не удаётся проверить в банке", "The bank could not be asked about a payment for a day"
    ),
    "stray_money": Text("Деньги пришли не по заказу", "Money came for no open order"),
    "capture_failed": Text("Удержанные деньги не списались", "The held money could not be taken"),
    "receipt_failed": Text("Чек не зарегистрирован", "The receipt was not registered"),
    "books_differ": Text("Книги расходятся с банком", "Our books differ from the bank's"),
    "made": Text("Напиток приготовлен", "It was made"),
    "not_made": Text("Не приготовлен: вернуть деньги", "It was not made: return the money"),
    "make_again": Text("Приготовить ещё раз", "Make again"),
    "refund_again": Text("Отправить возврат ещё раз", "Send the refund again"),
    "returned_by_hand": Text("Деньги возвращены вручную", "Returned by hand"),
    "settled": Text("Разобрались", "Settled"),
    "settled_at_bank": Text(
        "Деньги улажены в кабинете банка", "The money is settled in the bank's own cabinet"
    ),
    "done": Text("Случай закрыт.", "The case is closed."),
}

TECH: dict[str, Text] = {
    "title": Text("Техникам", "For technicians"),
    "machines": Text("Автоматы", "Machines"),
    "cases": Text("Случаи", "Cases"),
    "sign_in": Text("Войти", "Sign in"),
    "sign_out": Text("Выйти", "Sign out"),
    "name": Text("Имя", "Name"),
    "password": Text("Пароль", "Password"),
    "technician": Text("техник", "technician"),
    "operator": Text("оператор", "operator"),
    "find_place": Text("Место или номер", "Place or number"),
    "find": Text("Найти", "Find"),
    "all": Text("Показать все", "Show all"),
    "nothing_found": Text("Ничего не найдено.", "Nothing found."),
    "online": Text("на связи", "online"),
    "not_online": Text("нет связи", "offline"),
    "stopped": Text("продажи остановлены", "sales stopped"),
    "machine_said": Text("Машина ответила", "The machine said"),
    "last_failure": Text("Последний сбой", "Last failure"),
    "no_failures": Text("Сбоев не было.", "No failures."),
    "open_cases": Text("открытых случаев: {count}", "open cases: {count}"),
    "state": Text("Состояние", "State"),
    "link": Text("Связь", "Link"),
    "model": Text("Модель", "Model"),
    "merchant": Text("Продавец", "Merchant"),
    "device": Text("Номер", "Number"),
    "cause": Text("Причина", "Cause"),
    "do": Text("Что делать", "What to do"),
    "failures": Text("Сбои", "Failures"),
    "order": Text("Заказ", "Order"),
    "transition": Text("Переход", "Transition"),
    "refund": Text("Возврат", "Refund"),
    "outcome": Text("Итог", "Outcome"),
    "newer": Text("Новее", "Newer"),
    "older": Text("Старше", "Older"),
    "texts": Text("Тексты для покупателя", "Texts for the customer"),
    "texts_hint": Text(
        "Можно: <b> <i> <em> <strong> <br> <p> <ul> <ol> <li> и ссылки tel:, mailto:, https:. "
        "Остальное будет убрано.",
        "Allowed: <b> <i> <em> <strong> <br> <p> <ul> <ol> <li> and links tel:, mailto:, https:. "
        "The rest is removed.",
    ),
    "show": Text("Показать", "Preview"),
    "save": Text("Сохранить", "Save"),
    "saved": Text("Сохранено.", "Saved."),
    "not_saved": Text("Не сохранено: исправьте отмеченное.", "Not saved: correct what is marked."),
    "preview": Text("Увидит покупатель", "The customer will see"),
    "client_info": Text("До оплаты и в меню", "Before payment and in the menu"),
    "client_info_pending": Text("Пока проверяем оплату", "While the payment is checked"),
    "client_info_paid": Text("Оплачен, ждёт автомат", "Paid, waiting for the machine"),
    "client_info_not_paid": Text("Оплата не прошла", "Payment did not go through"),
    "client_info_make_pending": Text("Напиток готовится", "Drink is being made"),
    "client_info_manual_make": Text("Ручное приготовление", "Started by hand"),
    "client_info_successful": Text("Напиток готов", "Drink is ready"),
    "client_info_make_failed": Text("Напиток не получился", "Drink could not be made"),
    "client_error_info": Text("Страница ошибки", "Error page"),
    "logo_url": Text("Адрес логотипа (https://)", "Address of the logo (https://)"),
    "cases_title": Text("Открытые случаи", "Open cases"),
    "no_cases": Text("Открытых случаев нет.", "There are no open cases."),
    "opened": Text("Открыт", "Opened"),
    "age": Text("Ждёт", "Waiting"),
    "detail": Text("Подробности", "Detail"),
    "reason": Text("Причина решения", "Reason for the decision"),
    "status": Text("Статус", "Status"),
    "done": Text("Сделано.", "Done."),
    "since": Text("с {moment}", "since {moment}"),
    "gone_since": Text("{age}, с {moment}", "{age}, since {moment}"),
    "never_online": Text("ещё ни разу не подключался", "has never been connected"),
    "not_known": Text("неизвестно", "not known"),
    "last_known": Text(
        "неизвестно; последнее известное: {state}, {moment}", "not known; last known: {state}, {moment}"
    ),
    "outcome_made": Text("напиток выдан", "the drink was made"),
    "outcome_not_made": Text("напиток не выдан", "the drink was not made"),
    "outcome_partial": Text("напиток вышел не полностью", "the drink came out only partly"),
    "outcome_yes": Text("машина готовила, но сообщила о сбое", "the machine worked, but reported a failure"),
    "outcome_unknown": Text("неизвестно, вышел ли напиток", "not known whether the drink came out"),
    "outcome_again": Text("готовим ещё раз", "being made again"),
    "notifications_title": Text(
        "Уведомления, которые ни к чему не подошли", "Notifications that fit nothing"
    ),
    "shops_title": Text("Последнее уведомление каждого магазина", "The last notification of each shop"),
    "never_heard": Text(
        "Ещё ни одного: проверьте адрес уведомлений в кабинете банка. Платежи проверяются и без них.",
        "None yet: check the notification address in the bank's cabinet. Payments are found without them.",
    ),
    "no_notifications": Text("Таких уведомлений нет.", "There are none."),
    "received": Text("Получено", "Received"),
}

FAILURES: dict[Code, FailureText] = {
    Code.AGENT_OFFLINE: FailureText(
        Text(
            "Кофемашина не на связи, поэтому готовить не начинала.",
            "The coffee machine is offline, so it did not start.",
        ),
        Text(
            "Устройство не было на связи, команда не отправлена.", "The device was offline; nothing was sent."
        ),
        Text(
            "Проверьте питание и интернет платы, затем запустите на ней doctor.",
            "Check the board's power and network, then run doctor on it.",
        ),
        severity="critical",
        sure_not_made=True,
        stops_selling=True,
    ),
    Code.AGENT_REJECTED_BUSY: FailureText(
        Text(
            "Кофемашина была занята другим заказом и этот не начинала.",
            "The coffee machine was busy with another order and did not start this one.",
        ),
        Text(
            "Машина готовила другой напиток, команда отклонена.",
            "The machine was making another drink; refused.",
        ),
        Text(
            "Ничего. Если повторяется подряд, посмотрите, не зависла ли машина.",
            "Nothing. If it repeats in a row, see whether the machine hangs.",
        ),
        severity="info",
        sure_not_made=True,
        stops_selling=False,
    ),
    Code.EXPIRED_BEFORE_START: FailureText(
        Text(
            "Кофемашина не успела начать вовремя, и мы отменили приготовление.",
            "The coffee machine could not start in time, so the drink was called off.",
        ),
        Text(
            "Срок команды вышел раньше, чем машину тронули.",
            "The command's life ended before the machine was touched.",
        ),
        Text(
            "Проверьте, стабильна ли связь устройства и не занята ли машина подолгу.",
            "Check whether the device's link is stable and the machine is not busy for long.",
        ),
        severity="warning",
        sure_not_made=True,
        stops_selling=False,
    ),
    Code.MACHINE_ERROR: FailureText(
        Text("Кофемашина сообщила об ошибке.", "The coffee machine reported an error."),
        Text("Машина сообщила об ошибке.", "The machine reported an error."),
        Text(
            "Посмотрите, что ответила машина и что на её экране; устраните ошибку по её инструкции.",
            "See what the machine said and what its display shows; clear the error by its manual.",
        ),
        severity="critical",
        sure_not_made=False,
        stops_selling=True,
    ),
    Code.NO_WATER: FailureText(
        Text("В кофемашине закончилась вода.", "The coffee machine is out of water."),
        Text("Нет воды.", "No water."),
        Text(
            "Наполните бак; если он полон, проверьте поплавок и подачу воды.",
            "Fill the tank; if it is full, check the float and the water supply.",
        ),
        severity="warning",
        sure_not_made=True,
        stops_selling=True,
    ),
    Code.NO_BEANS: FailureText(
        Text("В кофемашине закончился кофе.", "The coffee machine is out of coffee."),
        Text("Нет зёрен.", "No beans."),
        Text(
            "Засыпьте зёрна; если они есть, проверьте заслонку бункера и кофемолку.",
            "Fill the beans; if there are some, check the hopper's slide and the grinder.",
        ),
        severity="warning",
        sure_not_made=True,
        stops_selling=True,
    ),
    Code.NO_MILK: FailureText(
        Text("В кофемашине закончилось молоко.", "The coffee machine is out of milk."),
        Text("Нет молока или отсоединена трубка.", "No milk, or the hose is off."),
        Text(
            "Долейте молоко, проверьте трубку и промойте её.", "Fill the milk, check the hose and rinse it."
        ),
        severity="warning",
        sure_not_made=True,
        stops_selling=True,
    ),
    Code.NO_CUP: FailureText(
        Text(
            "Кофемашина не нашла чашку и не начала готовить.",
            "The coffee machine found no cup and did not start.",
        ),
        Text("Нет чашки.", "No cup."),
        Text(
            "Проверьте запас стаканов и датчик чашки.",
            "Check the cups in stock and the cup sensor.",
        ),
        severity="warning",
        sure_not_made=True,
        stops_selling=False,
    ),
    Code.WASTE_FULL: FailureText(
        Text(
            "Кофемашину пора обслужить, поэтому готовить она не стала.",
            "The coffee machine needs to be emptied first.",
        ),
        Text("Контейнер жмыха или поддон полон.", "The grounds container or the drip tray is full."),
        Text(
            "Опорожните контейнер и поддон при включённой машине, чтобы она сбросила счётчик.",
            "Empty the container and the tray with the machine on, so that it resets its counter.",
        ),
        severity="warning",
        sure_not_made=True,
        stops_selling=True,
    ),
    Code.DOOR_OPEN: FailureText(
        Text(
            "Кофемашина открыта для обслуживания и готовить не может.",
            "The coffee machine is open for service and cannot make drinks.",
        ),
        Text("Открыта дверца или снят узел.", "The door is open or a part is out."),
        Text("Закройте дверцу, проверьте замок и датчик.", "Close the door, check the lock and its sensor."),
        severity="warning",
        sure_not_made=True,
        stops_selling=True,
    ),
    Code.DRINK_UNKNOWN: FailureText(
        Text(
            "Эта кофемашина не умеет готовить такой напиток.", "This coffee machine cannot make this drink."
        ),
        Text(
            "Напитка нет среди products устройства.",
            "The drink is not among the device's products.",
        ),
        Text(
            "Добавьте напиток и размер в machine.products настроек устройства или уберите его из меню.",
            "Add the drink and size to machine.products of the configuration, or take it off the menu.",
        ),
        severity="warning",
        sure_not_made=True,
        stops_selling=False,
    ),
    Code.SERIAL_OPEN_FAILED: FailureText(
        Text(
            "Нет связи с кофемашиной, готовить она не начинала.",
            "There is no connection to the coffee machine; it did not start.",
        ),
        Text("Не удалось открыть последовательный порт.", "The serial port could not be opened."),
        Text(
            "Проверьте кабель и адаптер, имя порта и права на него; запустите doctor.",
            "Check the cable and adapter, the port's name and permissions; run doctor.",
        ),
        severity="critical",
        sure_not_made=True,
        stops_selling=True,
    ),
    Code.SERIAL_NO_ANSWER: FailureText(
        Text("Кофемашина не отвечает.", "The coffee machine does not answer."),
        Text("Машина молчит в последовательной линии.", "The machine is silent on the serial line."),
        Text(
            "Проверьте, включена ли машина, и кабель между ней и платой; запустите doctor.",
            "Check that the machine is on, and the cable between it and the board; run doctor.",
        ),
        severity="critical",
        sure_not_made=False,
        stops_selling=True,
    ),
    Code.SERIAL_BAD_ANSWER: FailureText(
        Text("Кофемашина ответила непонятно.", "The coffee machine gave an answer that makes no sense."),
        Text(
            "Ответ машины не разобрать: помехи или другой протокол.",
            "Unreadable answer: noise or another protocol.",
        ),
        Text(
            "Проверьте кабель, общую землю, скорость порта и выбранный профиль машины.",
            "Check the cable, common ground, baud rate and the chosen machine profile.",
        ),
        severity="critical",
        sure_not_made=False,
        stops_selling=True,
    ),
    Code.JOURNAL_ERROR: FailureText(
        Text(
            "Устройство у кофемашины неисправно, поэтому готовить мы не начинали.",
            "The device at the coffee machine is out of order, so nothing was started.",
        ),
        Text(
            "Устройство не может записать журнал и отказывается от новых команд.",
            "The device cannot write its journal and refuses new commands.",
        ),
        Text(
            "Проверьте место на диске и карту памяти; при ошибках замените карту.",
            "Check disk space and the memory card; replace the card if it has errors.",
        ),
        severity="critical",
        sure_not_made=True,
        stops_selling=True,
    ),
    Code.AGENT_RESTARTED: FailureText(
        Text(
            "Устройство у кофемашины перезапустилось раньше, чем она начала готовить.",
            "The device at the coffee machine restarted before it began.",
        ),
        Text(
            "Перезапуск до начала приготовления: машину не трогали.",
            "Restart before the start: nothing was touched.",
        ),
        Text(
            "Если повторяется, проверьте блок питания платы и её журнал.",
            "If it repeats, check the board's power supply and its log.",
        ),
        severity="warning",
        sure_not_made=True,
        stops_selling=False,
    ),
    Code.POWER_LOSS: FailureText(
        Text(
            "Пока готовился ваш напиток, у кофемашины пропадало питание.",
            "The power at the coffee machine was cut while your drink was being made.",
        ),
        Text(
            "Питание пропало после начала: неизвестно, вышел ли напиток.",
            "Power was lost after the start: it is not known whether the drink came out.",
        ),
        Text(
            "Сверьте счётчик напитков машины и решите случай; проверьте питание.",
            "Compare the machine's drink counter and decide the case; check the power.",
        ),
        severity="critical",
        sure_not_made=False,
        stops_selling=False,
    ),
    Code.PROTOCOL_CONFLICT: FailureText(
        Text(
            "Устройство у кофемашины не приняло этот заказ.",
            "The device at the coffee machine did not accept this order.",
        ),
        Text(
            "Устройство знает этот номер команды с другим содержанием.",
            "The device knows this command's id with other content.",
        ),
        Text(
            "Сообщите разработчику номер заказа; сверьте счётчик машины и решите случай.",
            "Tell the developer the order's number; compare the machine's counter and decide the case.",
        ),
        severity="critical",
        sure_not_made=False,
        stops_selling=False,
    ),
    Code.TIMEOUT_NO_RESULT: FailureText(
        Text(
            "Кофемашина не сообщила, готов ли ваш напиток.",
            "The coffee machine did not say whether your drink is ready.",
        ),
        Text(
            "Команда принята, а результата нет дольше положенного.",
            "The command was accepted, and no result has come in the time allowed.",
        ),
        Text(
            "Верните устройство на связь: оно само сообщит результат. Иначе сверьте счётчик и решите случай.",
            "Bring the device back online: it reports by itself. Otherwise compare the counter and decide.",
        ),
        severity="critical",
        sure_not_made=False,
        stops_selling=True,
    ),
    Code.INTERNAL_ERROR: FailureText(
        Text("Произошла ошибка на нашей стороне.", "Something went wrong on our side."),
        Text("Ошибка программы.", "A fault in the program."),
        Text(
            "Сообщите разработчику номер заказа и время; сверьте счётчик машины, если напиток был начат.",
            "Tell the developer the order's number and time; compare the counter if the drink was started.",
        ),
        severity="critical",
        sure_not_made=False,
        stops_selling=False,
    ),
}

TABLES: dict[str, dict[str, Text]] = {
    "error": ERRORS,
    "info": INFO,
    "status": _STATUS,
    "refund": REFUND,
    "size": SIZES,
    "page": PAGE,
    "sandbox": SANDBOX,
    "machine": MACHINE,
    "severity": SEVERITY,
    "case": CASES,
    "tech": TECH,
}
"""The tables that `text` looks in, by the first part of a key."""

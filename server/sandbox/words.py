"""What the bank's page says of ways to pay and of money that is held; the rest is in `server.texts`."""

from server.sandbox.demands import CARD, SBP
from server.texts import Text

HOLD = Text(
    "Сумма будет удержана и списана после приготовления.",
    "The amount will be held, and taken once the drink is made.",
)
CHOOSE = Text("Как заплатить?", "How would you like to pay?")
METHOD = Text("Способ оплаты", "Paid by")
METHODS = {CARD: Text("Банковская карта", "Bank card"), SBP: Text("СБП", "SBP (faster payments)")}
PAY_BY = {CARD: Text("Оплатить картой", "Pay by card"), SBP: Text("Через СБП", "By SBP")}
LEAVE = Text("Вернуться, не отвечая", "Go back without an answer")

"""What the server asks of a payment provider, and how a call to one may end. Knows no provider.

DemitasseError
  ProviderError
    Declined         they refused for good: a repeat would be refused again
    Misconfigured    our account or key is wrong: the operator must act
    RetryLater       they want the same request again, later
    InDoubt          nobody can tell: it may have happened; repeat with the same key and the same body
    NotFound         they do not know this payment or refund
NotANotification     a body that is no notification (ValueError)
  OfNoConcern      a genuine one of an event that nothing here depends on
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from server.errors import DemitasseError


class Method(StrEnum):
    """What a customer pays with."""

    CARD = "card"
    SBP = "sbp"


class PaymentStatus(StrEnum):
    """Where a payment stands at the provider. SUCCEEDED and CANCELED are final."""

    PENDING = "pending"
    WAITING_FOR_CAPTURE = "waiting_for_capture"
    """The money is held for us, and goes back by itself unless it is captured."""
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


class RefundStatus(StrEnum):
    """Where a refund stands at the provider. SUCCEEDED and CANCELED are final."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


@dataclass(frozen=True)
class Capabilities:
    """What an account can do."""

    least_minor: Mapping[Method, int]
    """The methods that it offers, each with the least that it takes, in kopecks."""
    holds: frozenset[Method]
    """Methods whose money can be held, and later be captured or released."""
    voids_unpaid: bool
    """A payment that nobody has paid yet can be ended."""
    partial_refunds: bool


@dataclass(frozen=True)
class Receipt:
    """What a fiscal receipt (54-FZ) says of one drink. Codes are YooKassa's (54fz/parameters-values)."""

    email: str
    description: str
    amount_minor: int
    vat_code: int
    payment_subject: str
    payment_mode: str
    measure: str
    tax_system_code: int | None


@dataclass(frozen=True)
class NewPayment:
    """What a provider is asked for. Money is kopecks, times are UTC milliseconds."""

    payment_id: str
    order_id: str
    attempt_no: int
    amount_minor: int
    currency: str
    description: str
    return_url: str
    notification_url: str
    expires_at: int
    """Until when the order may be paid; a provider that can ends the payment then."""
    method: Method = Method.CARD
    hold: bool = False
    """Hold the money; take it when the drink is made, give it back when it was not."""
    receipt: Receipt | None = None


@dataclass(frozen=True)
class Confirmation:
    """Where the customer pays: an address to open, or to show as a QR code for a phone."""

    kind: Literal["redirect", "qr"]
    url: str


@dataclass(frozen=True)
class PaymentSnapshot:
    """A payment as the provider told it at one moment; later moments may contradict it."""

    provider_payment_id: str
    status: PaymentStatus
    amount_minor: int
    currency: str
    account_id: str | None
    """Whose money it is, when the provider says so."""
    test: bool
    """No real money moved."""
    metadata: Mapping[str, str]
    """What we sent with it: `order_id`, `payment_id`, `attempt`."""
    reason: str
    """Why it was canceled, in the provider's word; empty otherwise."""
    confirmation: Confirmation | None
    """Where the customer pays; None when there is nothing to open (any more)."""
    refunded_minor: int
    """What has gone back or is on its way, at least."""


@dataclass(frozen=True)
class RefundSnapshot:
    """A refund as the provider told it at one moment."""

    provider_refund_id: str
    provider_payment_id: str
    status: RefundStatus
    amount_minor: int
    """0: a part of the payment; the provider does not tell how much."""
    currency: str
    reason: str
    """Why it was canceled, in the provider's word; empty otherwise."""


@dataclass(frozen=True)
class ReceiptSnapshot:
    """A fiscal receipt as the provider told it at one moment. The numbers are known once it is registered."""

    kind: Literal["payment", "refund"]
    status: Literal["pending", "succeeded", "canceled"]
    storage_number: str
    document_number: str
    attribute: str
    registered_at: str
    """The cash register's own time, ISO 8601."""


@dataclass(frozen=True)
class Hint:
    """What a notification claims. Anyone can send one: it says what to ask the provider about, no more."""

    event: str
    kind: Literal["payment", "refund"]
    object_id: str
    payment_id: str | None
    """The provider's payment: `object_id` itself, or of a refund the payment that it belongs to."""


@dataclass(frozen=True)
class Credentials:
    """A merchant's account at a provider. Its text never shows the secret."""

    account_id: str
    secret_key: str = field(repr=False)


class ProviderError(DemitasseError):
    """A call to the provider did not end with an answer that can be used."""


class Declined(ProviderError):
    """Refused for good. `code` and `parameter` are the provider's words, empty when it gave none."""

    def __init__(self, detail: str, code: str = "", parameter: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.parameter = parameter


class Misconfigured(ProviderError):
    """The account or its key is wrong or may not do this: nothing will work until the operator acts."""


class RetryLater(ProviderError):
    """Nothing happened; the same request with the same key is welcome in `after_s` seconds."""

    def __init__(self, detail: str, after_s: float) -> None:
        super().__init__(detail)
        self.after_s = after_s


class InDoubt(ProviderError):
    """No answer, or none that can be read: the operation may have happened.

    Repeat with the same key and the same body, in `after_s` seconds if the provider named a time.
    """

    def __init__(self, detail: str, after_s: float | None = None) -> None:
        super().__init__(detail)
        self.after_s = after_s


class NotFound(ProviderError):
    """The provider knows no such payment or refund of this account."""


class NotANotification(ValueError):
    """The body is not a notification of this provider; the text says what is wrong with it."""


class OfNoConcern(NotANotification):
    """A notification about something else than payments and refunds: acknowledge it and forget it."""


class Bodies(Protocol):
    """Makes the exact requests of one provider, to be saved before the first call. Pure; holds no secret.

    Raises ValueError for a sum that is no price.
    """

    def payment_body(self, new: NewPayment) -> str:
        """Return the request that asks for a payment."""

    def is_hold(self, payment_body: str) -> bool:
        """Return whether the payment of this request was to be held first."""

    def tells_receipt(self, payment_body: str) -> bool:
        """Return whether the payment has a receipt whose registration the provider tells."""

    def capture_body(
        self, provider_payment_id: str, amount_minor: int, currency: str, payment_body: str
    ) -> str:
        """Return the request that takes held money; `payment_body` is the payment's own request."""

    def release_body(self, provider_payment_id: str, amount_minor: int, currency: str) -> str:
        """Return the request that gives held money back."""

    def refund_body(
        self, provider_payment_id: str, amount_minor: int, currency: str, reason: str, payment_body: str
    ) -> str:
        """Return the request that gives taken money back; `payment_body` is the payment's own request."""


class Provider(Protocol):
    """One merchant's account at a payment provider.

    A body is the text that `Bodies` made and that was saved; a repeat sends the same. A key is at most 64 of
    `0-9 a-z A-Z + - _ .`, one per operation. Every call raises ProviderError.
    """

    capabilities: Capabilities

    async def create_payment(self, body: str, key: str) -> PaymentSnapshot:
        """Ask for the payment of `body`; the same key never makes a second one."""

    async def fetch_payment(self, provider_payment_id: str, hold: bool = False) -> PaymentSnapshot:
        """Return the payment as it stands now. `hold` says that its money was to be held first."""

    async def find_payment(self, payment_id: str, since_ms: int) -> PaymentSnapshot | None:
        """Return the newest payment that carries our `payment_id` and was created at `since_ms` or later.

        For a create whose answer was lost for longer than its key lives.
        """

    async def capture_payment(self, provider_payment_id: str, body: str, key: str) -> PaymentSnapshot:
        """Take the money that is held; the same key never takes it twice."""

    async def release_payment(self, provider_payment_id: str, body: str, key: str) -> PaymentSnapshot:
        """Give the money back that is held."""

    async def create_refund(self, body: str, key: str) -> RefundSnapshot:
        """Ask for the refund of `body`; the same key never makes a second one."""

    async def fetch_refund(self, provider_refund_id: str) -> RefundSnapshot:
        """Return the refund as it stands now."""

    async def payments_since(self, since_ms: int, of: Mapping[str, bool]) -> Sequence[PaymentSnapshot]:
        """Return every payment since then. A provider without lists is asked for those `of` these ids.

        `of` says of each whether its money was to be held first.
        """

    async def refunds_since(self, since_ms: int, of: Collection[str]) -> Sequence[RefundSnapshot]:
        """Return every refund since then. A provider without lists is asked for those of these payments."""

    async def receipts_of(
        self, provider_payment_id: str, provider_refund_id: str | None = None
    ) -> Sequence[ReceiptSnapshot]:
        """Return the receipts of a payment, or of one of its refunds."""

    async def refunds_of(self, provider_payment_id: str) -> Sequence[RefundSnapshot]:
        """Return every refund of the payment, also those that we did not ask for."""

"""Which account at which provider a merchant sells through. Credentials are per merchant, never global."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from server.db import Database, Transaction
from server.errors import Unavailable
from server.payments import (
    Bodies,
    Credentials,
    Method,
    Provider,
    tbank,
    tbank_requests,
    yookassa,
    yookassa_api,
)
from server.sandbox import ACCOUNT_ID, SECRET_KEY
from server.store import devices
from server.vault import NO_KEY, NotOpened, Vault

log = structlog.get_logger()

YOOKASSA_SCENARIOS = ("Yookassa", "YookassaReceipt")
TBANK = "TBank"
SANDBOX = "Sandbox"
SANDBOX_CREDENTIALS = Credentials(ACCOUNT_ID, SECRET_KEY)


@dataclass(frozen=True)
class Account:
    """A merchant's account. `test` says whether its payments must be marked as tests; None: any."""

    merchant_id: str
    scenario: str
    account_id: str
    provider: Provider
    test: bool | None


class Accounts:
    """Finds accounts, and makes the client for each."""

    def __init__(
        self,
        db: Database,
        yookassa: Callable[[Credentials], Provider],
        sandbox: Callable[[Credentials], Provider] | None,
        vault: Vault = NO_KEY,
        tbank: Callable[[Credentials], Provider] | None = None,
    ) -> None:
        self._db = db
        self._vault = vault
        self._tbank = tbank
        self._yookassa = yookassa
        self._sandbox = sandbox

    async def of(self, merchant_id: str, scenario: str) -> Account:
        """The merchant's account for a scenario. Raises Unavailable when there is none, or no key for it."""
        if scenario == SANDBOX and self._sandbox is not None:
            return self._sandbox_account(self._sandbox, merchant_id)
        kept = None
        if self._serves(scenario):
            kept = await self._db.glance(devices.credentials, merchant_id, scenario)
        if kept is None:
            raise Unavailable("missing_credentials", f"merchant {merchant_id} has none for {scenario}")
        try:
            body = open_credentials(self._vault, merchant_id, scenario, kept)
        except NotOpened as error:
            raise Unavailable("missing_credentials", str(error)) from None
        return self._account(merchant_id, scenario, body)

    async def every(self) -> list[Account]:
        """Every account of every merchant at a provider, without the sandbox's."""
        found = []
        for merchant_id, scenario, kept in await self._db.read(devices.every_credentials):
            if not self._serves(scenario):
                continue
            try:
                body = open_credentials(self._vault, merchant_id, scenario, kept)
            except NotOpened as error:  # one merchant's must not hide another's account
                log.error("credentials not opened", why=str(error))
                continue
            found.append(self._account(merchant_id, scenario, body))
        return found

    async def candidates(self, provider: str) -> list[Account]:
        """Every account that may know a payment which no row of ours has: one of each shop."""
        ours = YOOKASSA_SCENARIOS if provider == "yookassa" else (TBANK,)
        found = {account.account_id: account for account in await self.every() if account.scenario in ours}
        accounts = list(found.values())
        if self._sandbox is not None and provider == "yookassa":
            accounts.append(self._sandbox_account(self._sandbox, SANDBOX))
        return accounts

    async def terminal(self, terminal_key: str) -> Credentials | None:
        """The key and password of a T-Bank terminal that some merchant has, or None."""
        for merchant_id, scenario, kept in await self._db.read(devices.every_credentials):
            if scenario == TBANK:
                with suppress(NotOpened):
                    found = _terminal(open_credentials(self._vault, merchant_id, scenario, kept))
                    if found.account_id == terminal_key:
                        return found
        return None

    def _serves(self, scenario: str) -> bool:
        return scenario in YOOKASSA_SCENARIOS or (scenario == TBANK and self._tbank is not None)

    def _account(self, merchant_id: str, scenario: str, body: str) -> Account:
        if scenario == TBANK and self._tbank is not None:
            terminal = _terminal(body)
            test = terminal.account_id.endswith("DEMO")
            return Account(merchant_id, scenario, terminal.account_id, self._tbank(terminal), test)
        fields = json.loads(body)
        credentials = Credentials(str(fields["account_id"]), str(fields["secret_key"]))
        test = credentials.secret_key.startswith("test_")
        return Account(merchant_id, scenario, credentials.account_id, self._yookassa(credentials), test)

    @staticmethod
    def _sandbox_account(sandbox: Callable[[Credentials], Provider], merchant_id: str) -> Account:
        account_id = SANDBOX_CREDENTIALS.account_id
        return Account(merchant_id, SANDBOX, account_id, sandbox(SANDBOX_CREDENTIALS), True)


def _terminal(body: str) -> Credentials:
    fields = json.loads(body)
    return Credentials(str(fields["terminal_key"]), str(fields["password"]))


def open_credentials(vault: Vault, merchant_id: str, scenario: str, kept: str) -> str:
    """Return credentials as JSON. Raises NotOpened, which names the merchant and the setting."""
    try:
        return vault.open(kept)
    except NotOpened as error:
        raise NotOpened(
            f"{error}: the credentials of merchant {merchant_id} for {scenario} are sealed; "
            "set the key they were sealed with, or load them again"
        ) from None


def seal_credentials(vault: Vault) -> Transaction[int]:
    """Seal what stands in clear or was sealed with an older key; return how many. Without a key: nothing.

    Raises NotOpened when something is sealed that no key opens.
    """
    sealed = 0
    for merchant_id, scenario, kept in (yield from devices.every_credentials()):
        body = open_credentials(vault, merchant_id, scenario, kept)
        if not vault.is_current(kept):
            yield from devices.keep_credentials(merchant_id, scenario, vault.seal(body))
            sealed += 1
    return sealed


def bodies_of(scenario: str) -> Bodies:
    """Return what makes the requests of a scenario's provider."""
    return tbank_requests if scenario == TBANK else yookassa_api


def methods_of(scenario: str, price_minor: int) -> list[Method]:
    """Return how an order of this price may be paid; none where another page asks."""
    if scenario == TBANK:
        least = tbank.CAPABILITIES.least_minor
    elif scenario == SANDBOX or scenario in YOOKASSA_SCENARIOS:
        least = yookassa.CAPABILITIES.least_minor
    else:
        return []
    return [method for method, minor in least.items() if price_minor >= minor]


def is_live(scenario: str, body: str) -> bool:
    """Whether credentials move real money: anything not plainly a test shop's counts as live."""
    fields = json.loads(body)
    if scenario == TBANK:
        return not str(fields.get("terminal_key", "")).endswith("DEMO")
    return not str(fields.get("secret_key", "")).startswith("test_")

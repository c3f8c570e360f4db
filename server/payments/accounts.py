"""Which account at which provider a merchant sells through. Credentials are per merchant, never global."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from server.db import Database
from server.errors import Unavailable
from server.payments import Credentials, Provider
from server.sandbox import ACCOUNT_ID, SECRET_KEY
from server.store import devices

YOOKASSA_SCENARIOS = ("Yookassa",)
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
    ) -> None:
        self._db = db
        self._yookassa = yookassa
        self._sandbox = sandbox

    async def of(self, merchant_id: str, scenario: str) -> Account:
        """The merchant's account for a scenario. Raises Unavailable when there is none."""
        if scenario == SANDBOX and self._sandbox is not None:
            return self._sandbox_account(self._sandbox, merchant_id)
        body = None
        if scenario in YOOKASSA_SCENARIOS:
            body = await self._db.read(devices.credentials, merchant_id, scenario)
        if body is None:
            raise Unavailable("missing_credentials", f"merchant {merchant_id} has none for {scenario}")
        return self._yookassa_account(merchant_id, scenario, body)

    async def candidates(self) -> list[Account]:
        """Every account that may know a payment which no row of ours has: one of each shop."""
        found = {
            body: self._yookassa_account(merchant_id, scenario, body)
            for merchant_id, scenario, body in await self._db.read(devices.every_credentials)
            if scenario in YOOKASSA_SCENARIOS
        }
        accounts = list(found.values())
        if self._sandbox is not None:
            accounts.append(self._sandbox_account(self._sandbox, SANDBOX))
        return accounts

    def _yookassa_account(self, merchant_id: str, scenario: str, body: str) -> Account:
        fields = json.loads(body)
        credentials = Credentials(str(fields["account_id"]), str(fields["secret_key"]))
        test = credentials.secret_key.startswith("test_")
        return Account(merchant_id, scenario, credentials.account_id, self._yookassa(credentials), test)

    @staticmethod
    def _sandbox_account(sandbox: Callable[[Credentials], Provider], merchant_id: str) -> Account:
        account_id = SANDBOX_CREDENTIALS.account_id
        return Account(merchant_id, SANDBOX, account_id, sandbox(SANDBOX_CREDENTIALS), True)


def is_live(scenario: str, body: str) -> bool:
    """Whether credentials move real money: anything not plainly a test shop's counts as live."""
    fields = json.loads(body)
    if scenario == "TBank":
        return not str(fields.get("terminal_key", "")).endswith("DEMO")
    return not str(fields.get("secret_key", "")).startswith("test_")

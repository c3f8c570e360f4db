"""Makes the clients of payment providers from the settings: the server's, and those of `reconcile`."""

import ssl
from functools import partial

import aiohttp

from server.db import Database
from server.errors import SettingError
from server.payments import Credentials, Provider
from server.payments.accounts import Accounts
from server.payments.tbank import Tbank
from server.payments.yookassa import Yookassa
from server.sandbox.api import PREFIX as SANDBOX_PREFIX
from server.sandbox_tbank import TERMINAL_KEY
from server.sandbox_tbank.api import PREFIX as SANDBOX_TBANK_PREFIX
from server.settings import Settings
from server.vault import Vault


def accounts_of(settings: Settings, db: Database, session: aiohttp.ClientSession, vault: Vault) -> Accounts:
    """Return the merchants' accounts. Raises SettingError."""
    timeout_s = settings.payment_api_timeout_s
    yookassa = partial(Yookassa, session, read_timeout_s=timeout_s)
    own = f"http://{settings.local_host}:{settings.port}"
    tls = _tls(settings)

    def tbank(terminal: Credentials) -> Provider:
        ours = settings.sandbox and terminal.account_id == TERMINAL_KEY
        url = own + SANDBOX_TBANK_PREFIX if ours else settings.tbank_api_url
        return Tbank(session, terminal, url, read_timeout_s=timeout_s, tls=None if ours else tls)

    return Accounts(
        db,
        partial(yookassa, base_url=settings.yookassa_api_url),
        partial(yookassa, base_url=own + SANDBOX_PREFIX) if settings.sandbox else None,
        vault,
        tbank,
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """T-Bank's certificates come from an authority that not every system knows (intro/certificates)."""
    if not settings.tbank_ca_file:
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=settings.tbank_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"TBANK_CA_FILE: cannot read {settings.tbank_ca_file}: {error}") from error
    return context

"""What the handlers find in the application: each resource under a typed key."""

from collections.abc import Callable

from aiohttp import web

from server.agents import Agents
from server.checkout import Checkout
from server.db import Database
from server.dispatch import Dispatch
from server.known_archives import Archives
from server.notifications import Notifications
from server.pages.status_answers import StatusAnswers
from server.payments.accounts import Accounts
from server.progress import Change, Rules
from server.refunds import Refunds
from server.sale import Sale
from server.sandbox import Sandbox
from server.sandbox_tbank import TbankSandbox
from server.settings import Settings
from server.till import Till
from server.users import Users

SETTINGS = web.AppKey("SETTINGS", Settings)
DB: web.AppKey[Database] = web.AppKey("DB")
AGENTS = web.AppKey("AGENTS", Agents)
DISPATCH = web.AppKey("DISPATCH", Dispatch)
SALE = web.AppKey("SALE", Sale)
ACCOUNTS = web.AppKey("ACCOUNTS", Accounts)
CHECKOUT = web.AppKey("CHECKOUT", Checkout)
TILL = web.AppKey("TILL", Till)
REFUNDS = web.AppKey("REFUNDS", Refunds)
NOTIFICATIONS = web.AppKey("NOTIFICATIONS", Notifications)
USERS = web.AppKey("USERS", Users)
ARCHIVES = web.AppKey("ARCHIVES", Archives)
STATUS_ANSWERS = web.AppKey("STATUS_ANSWERS", StatusAnswers)
RULES = web.AppKey("RULES", Rules)
NOW_MS: web.AppKey[Callable[[], int]] = web.AppKey("NOW_MS")
FOLLOW: web.AppKey[Callable[[Change], None]] = web.AppKey("FOLLOW")
"""What must be told and woken after a change of an order."""
WAKE: web.AppKey[Callable[[], None]] = web.AppKey("WAKE")
"""Makes every part look at once for what is due: the clock was moved."""
SANDBOX = web.AppKey("SANDBOX", Sandbox)
SANDBOX_TBANK = web.AppKey("SANDBOX_TBANK", TbankSandbox)
"""The sandbox banks; only where they are served."""

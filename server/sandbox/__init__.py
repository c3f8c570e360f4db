"""A bank without money that speaks YooKassa's API: for the demo, for tests and for `SANDBOX=1`.

It keeps its own books and knows nothing of orders, so the server is tested as it runs: over HTTP.
"""

from server.sandbox.api import ACCOUNT_ID, SECRET_KEY
from server.sandbox.app import Sandbox
from server.sandbox.faults import Fault, Faults, Harm, NoticeFault

__all__ = ["ACCOUNT_ID", "SECRET_KEY", "Fault", "Faults", "Harm", "NoticeFault", "Sandbox"]

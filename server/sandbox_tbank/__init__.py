"""A bank without money that speaks T-Bank's acquiring API: for the demo, for tests and for `SANDBOX=1`.

It keeps its own books and knows nothing of orders, so the server is tested as it runs: over HTTP.
"""

from server.sandbox_tbank.app import TbankSandbox
from server.sandbox_tbank.bank import TERMINAL_KEY
from server.sandbox_tbank.faults import Fault, Faults, Harm, NoticeFault
from server.sandbox_tbank.outbox import PASSWORD

__all__ = ["PASSWORD", "TERMINAL_KEY", "Fault", "Faults", "Harm", "NoticeFault", "TbankSandbox"]

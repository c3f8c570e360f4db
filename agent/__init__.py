"""The agent: a small program beside a coffee machine.

It takes make commands from the server over a WebSocket, drives the machine over a serial line, proves
whether the drink was made, and keeps every result until the server has stored it. It imports nothing
from `server/`, so a device installs this package alone.
"""

__version__ = "0.1.0"

"""The server: takes the payment, sends the make command to the agent, and sees each order to its end."""

__version__ = "0.1.0"

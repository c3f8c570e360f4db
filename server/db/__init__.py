"""The database: hands whole transactions to it and knows nothing of what is in them.

A transaction is a generator that yields `Statement`s and is sent the rows, so it holds no connection, does no
I/O and runs the same on any database.
"""

import re

from server.db.sqlite import open_sqlite_database
from server.db.transactions import EVERY_ORDER, Database, Row, Statement, Touched, Transaction, serializable
from server.errors import SettingError

__all__ = [
    "EVERY_ORDER",
    "Database",
    "Row",
    "Statement",
    "Touched",
    "Transaction",
    "open_database",
    "serializable",
    "shown",
]


CONNECTIONS = 4
"""Connections to PostgreSQL of a command that has little to ask."""


async def open_database(url: str, connections: int = CONNECTIONS) -> Database:
    """Open the database of a URL, made or upgraded as needed.

    Raises SettingError when the URL is not one we know, or the database is newer than this program.
    """
    scheme, _, rest = url.partition("://")
    if scheme in ("postgresql", "postgres") and rest:
        from server.db.postgres import open_postgres_database  # its driver is loaded only where it is used

        return await open_postgres_database(url, connections)
    path = rest.removeprefix("/")
    if scheme != "sqlite" or path == rest or not path:
        raise SettingError(
            "DATABASE_URL must look like sqlite:///demitasse.db or postgresql://user@host/database, "
            f"not {shown(url)!r}"
        )
    return await open_sqlite_database(path)


def shown(url: str) -> str:
    """Return the address without its password."""
    return _PASSWORD.sub(r"\1***@", url)


_PASSWORD = re.compile(r"(://[^:@/]*:)[^@]*@")

"""The database: hands whole transactions to it and knows nothing of what is in them.

A transaction is a generator that yields `Statement`s and is sent the rows, so it holds no connection, does no
I/O and runs the same on any database.
"""

from server.db.sqlite import open_sqlite_database
from server.db.transactions import EVERY_ORDER, Database, Row, Statement, Touched, Transaction
from server.errors import SettingError

__all__ = ["EVERY_ORDER", "Database", "Row", "Statement", "Touched", "Transaction", "open_database"]


async def open_database(url: str) -> Database:
    """Open the database of a URL, made or upgraded as needed.

    Raises SettingError when the URL is not one we know, or the database is newer than this program.
    """
    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator or not path:
        raise SettingError(f"DATABASE_URL must look like sqlite:///demitasse.db, not {url!r}")
    return await open_sqlite_database(path)

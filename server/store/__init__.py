"""Every question and change the server has for its data: a function each, its SQL inside it.

Each function is a transaction for `server.db` (or a part of one, by `yield from`); none holds a connection.
"""

"""The errors a caller can see, each with its HTTP status and its text.

DemitasseError
  Refusal            they asked for what cannot be had: a page or JSON tells them
    BadRequest 400, Unauthorized 401, Forbidden 403, NotFound 404, AlreadyDecided 409,
        UnsupportedType 415, TooLarge 413, TooMany 429
  Unavailable 503    we cannot serve now: the machine, the provider or the database is away
  SettingError       a setting is wrong: the program does not start
  DatabaseError      the database failed; Conflict: someone was first
"""


class DemitasseError(Exception):
    """Root of this tree."""


class SettingError(DemitasseError):
    """A setting, an argument or a file is wrong; the text names it and says what to do."""


class DatabaseError(DemitasseError):
    """The database failed; nothing of the transaction is kept."""


class Conflict(DatabaseError):
    """A unique key exists already, or a row was changed by someone else first."""


class Refusal(DemitasseError):
    """What was asked cannot be had. `key` names the text in `server.texts.ERRORS`; `detail` is for the log.

    `device_uuid` is the machine it is about, when known, so that the page can show its logo and its text.
    """

    status = 400

    def __init__(self, key: str, detail: str = "", device_uuid: str | None = None) -> None:
        super().__init__(f"{key}: {detail}" if detail else key)
        self.key = key
        self.detail = detail
        self.device_uuid = device_uuid


class BadRequest(Refusal):
    """Missing, malformed or impossible parameters, or an order that can no longer be paid."""


class Unauthorized(Refusal):
    """No or wrong credentials."""

    status = 401


class Forbidden(Refusal):
    """Known, but not allowed."""

    status = 403


class NotFound(Refusal):
    """No such device, drink or order."""

    status = 404


class AlreadyDecided(Refusal):
    """The order has moved on; what was asked is no longer possible."""

    status = 409


class TooLarge(Refusal):
    """The body is longer than any honest one."""

    status = 413


class UnsupportedType(Refusal):
    """The body is of a content type that is not understood here."""

    status = 415


class TooMany(Refusal):
    """Too many attempts; try later."""

    status = 429


class Unavailable(Refusal):
    """The machine, the provider or the database is away."""

    status = 503

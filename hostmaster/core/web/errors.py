"""What a route raises, and the answer the caller gets for it.

Every error answers `{"detail": …}`: a sentence, or for 422 a list of `{"loc": [...], "msg": …,
"type": …}` that names each field, in the shape django-ninja gives to a broken schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ninja import Schema


class ApiError(Exception):
    """The request cannot be answered."""

    status: ClassVar[int] = 400

    def __init__(self, message: str = "") -> None:
        super().__init__(message or type(self).__doc__)


class ForbiddenError(ApiError):
    """Your role does not allow this."""

    status = 403


class NotFoundError(ApiError):
    """There is no such thing here."""

    status = 404


class ConflictError(ApiError):
    """This does not fit what is there already."""

    status = 409


class InvalidInputError(ApiError):
    """A field of the request cannot be accepted."""

    status = 422

    def __init__(self, field: str, message: str, *, source: str = "body") -> None:
        self.loc = [source, *field.split(".")]
        super().__init__(message)


class ErrorOut(Schema):
    """An error in one sentence."""

    detail: str


class FieldErrorOut(Schema):
    """One field that was refused: where it stands in the request, and why."""

    loc: Sequence[str | int]
    msg: str
    type: str


class InvalidOut(Schema):
    """A request whose fields were refused."""

    detail: list[FieldErrorOut]

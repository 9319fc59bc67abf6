"""What a group of tasks failed of: one error instead of a group of them."""

from __future__ import annotations


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that came first; the siblings of its task were only cancelled."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

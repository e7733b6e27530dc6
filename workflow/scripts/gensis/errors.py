"""The one exception that a user sees."""


class UserError(Exception):
    """A mistake that the user can mend: one line that says what is wrong, where, and what to do.

    Scripts print it as ``error: ...`` without a traceback and exit with status 1.
    """

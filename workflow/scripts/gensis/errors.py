"""The exception for errors that the user can fix."""


class UserError(Exception):
    """An error that the user can fix: one line with what is wrong, where, and what to do.

    Scripts print it as ``error: ...`` without a traceback and exit with status 1.
    """

"""The exception for errors that the user can fix."""


class UserError(Exception):
    """An error that the user can fix: one line with what is wrong, where, and what to do.

    Scripts print it as ``error: ...`` without a traceback and exit with status 1.
    """


class Damaged(UserError, ValueError):
    """A file whose content is not what its writer wrote. It is to be moved, because it may be the user's."""

    def __init__(self, path: object, why: object):
        super().__init__(f"{path} is damaged ({why}): move it elsewhere and run again")
        self.why = str(why)

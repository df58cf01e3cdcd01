"""What goes wrong for a user, in words that name the value to change."""


class HarnessError(Exception):
    """A failure that the user can act on; the command prints its text without a traceback.

    Notes attached with `add_note` (the last lines of a log, a command's standard error) are printed below it.
    """

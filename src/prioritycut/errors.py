"""The one kind of error that is meant for a person rather than for a programmer."""


class UserError(Exception):
    """Something outside the program is wrong: a file, an option, a disk.

    The message is one line that names the thing, the fault and the way out. The command line prints it
    without a traceback and exits with code 2; a library user may catch it like any other exception.
    """

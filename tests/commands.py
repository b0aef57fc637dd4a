"""The commands of `python -m course_lib`, for tests."""

from course_lib import __main__


def run(*arguments) -> int:
    """The command's exit status, run in this process."""
    try:
        __main__.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code
    return 0

"""Exit codes and the errors that carry them: one clear sentence naming the problem and the remedy."""

import errno
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READER_GONE = 128 + signal.SIGPIPE
"""As the shell counts a program that the signal ended: ``edgefer … | head`` has not said all it had to say."""
REMEDIES = {
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG), "correct its name"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTEMPTY, errno.EBUSY), "name another place"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "see that you may, or name another place"),
    **dict.fromkeys(FULL, "make room there"),
}
"""What the system refuses a file for, and what to do about it; what may pass by itself is not here."""
PASS, BROKEN, USAGE, ENVIRONMENT, INCONCLUSIVE, UNREACHABLE, REJECTED, INTERNAL = 0, 1, 2, 3, 4, 5, 6, 70


class EdgeferError(Exception):
    """A problem the user can act on: its text is one sentence with the remedy, ``exit_code`` the program's status."""

    exit_code = INTERNAL


class BudgetBroken(EdgeferError):
    """A budget or a parity rung is broken."""

    exit_code = BROKEN


class UsageError(EdgeferError):
    """A flag, a name or a combination of them makes no sense."""

    exit_code = USAGE


class EnvironmentInvalid(EdgeferError):
    """Something this machine needs is missing or wrong (a package, a data set, a tool)."""

    exit_code = ENVIRONMENT


class Unreachable(EdgeferError):
    """A device cannot be reached from here."""

    exit_code = UNREACHABLE


class InputRejected(EdgeferError):
    """A file, bundle, frame or checkpoint is damaged, incomplete or not what it says it is."""

    exit_code = REJECTED


def of(code: int) -> type[EdgeferError]:
    """The error that another program's exit code stands for."""
    return {kind.exit_code: kind for kind in EdgeferError.__subclasses__()}.get(code, EdgeferError)


def last_words(said: str | bytes) -> str:
    """The last line of what a program said on stderr, for the sentence that tells how it ended."""
    text = said if isinstance(said, str) else said.decode(errors="replace")
    *_, last = text.strip().splitlines() or ["it left no message"]
    return last


def unknown(kind: str, name: str, known, where: str = "") -> UsageError:
    """The error for a name that does not exist; lists those that do."""
    place = f"{where} has" if where else "known:"
    return UsageError(f"unknown {kind} '{name}'; {place} {', '.join(sorted(known)) or 'none'}")


def journal_prefix(level: str) -> str:
    """How a line begins where the journal reads standard error: its level (sd-daemon(3)); nothing elsewhere."""
    return level if os.environ.get("JOURNAL_STREAM") else ""


def exit_with(main: Callable[[], int | None]) -> int:
    """Run a program's ``main``; turn an error into its sentence on stderr and its exit code.

    ``EDGEFER_DEBUG=1`` prints the traceback as well.
    """
    for stream in (sys.stdout, sys.stderr):  # a letter that the terminal has not got must not end a program
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main() or PASS
        sys.stdout.flush()
        return code
    except EdgeferError as error:
        return _told(str(error), error.exit_code)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_gone():
            return READER_GONE
        if isinstance(error, OSError) and error.filename is None and error.errno in FULL:
            try:
                sys.stdout.flush()
            except OSError:  # that was it, and Python would try once more at its end
                throw_away_output()
            return _told(f"the output could not be written ({error.strerror}); make room where it goes", ENVIRONMENT)
        if isinstance(error, OSError) and error.filename is not None and error.errno in REMEDIES:
            return _told(f"{error.filename} cannot be used ({error.strerror}); {REMEDIES[error.errno]}", ENVIRONMENT)
        traceback.print_exc()
        print(f"internal error: {error!r}; this is a bug in edgefer, please report the lines above", file=sys.stderr)
        return INTERNAL


def _told(sentence: str, code: int) -> int:
    if os.environ.get("EDGEFER_DEBUG"):
        traceback.print_exc()
    print(f"{journal_prefix('<3>')}error: {sentence}", file=sys.stderr)
    return code


def _reader_gone() -> bool:
    """Whether nobody reads our output any more, as after ``| head``; what is left of it is then thrown away."""
    output = sys.__stdout__.fileno()
    poll = select.poll()
    poll.register(output, 0)
    gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if gone:
        throw_away_output()
    return gone


def throw_away_output() -> None:
    """What is left of standard output, and what may follow, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())

"""Where the program begins: signals are listened to before anything takes its time."""

import gc

from snnrun.signals import Stop, Stopped

# Libraries make half a million objects that stay; to look through them again and again takes a tenth of a second.
_OBJECTS = 100_000


def main() -> None:
    """Entry point of the command `snnrun`."""
    stop = Stop()
    gc.set_threshold(_OBJECTS, 50, 100)
    try:
        try:
            stop.listen()
            from snnrun import cli

            cli.main(stop)
        finally:
            stop.ignore()  # what comes now comes too late
            gc.freeze()  # the end does not look at them either
    except Stopped as stopped:
        stop.leave(stopped)


if __name__ == "__main__":
    main()

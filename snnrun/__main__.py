"""Where the program begins: signals are listened to before anything takes its time."""

from snnrun.signals import Stop, Stopped


def main() -> None:
    """Entry point of the command `snnrun`."""
    stop = Stop()
    try:
        try:
            stop.listen()
            from snnrun import cli

            cli.main(stop)
        finally:
            stop.ignore()  # what comes now comes too late
    except Stopped as stopped:
        stop.leave(stopped)


if __name__ == "__main__":
    main()

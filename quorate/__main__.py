"""`python -m quorate`: the `quorate` command, where it is not on the PATH."""

from quorate.cli import main

if __name__ == "__main__":
    main()

"""`python -m prioritycut` is the command line."""

from prioritycut.cli import main

if __name__ == "__main__":
    main()

"""`python -m voiceguard` is the command `voiceguard`."""

from voiceguard.cli import main

if __name__ == "__main__":
    main()

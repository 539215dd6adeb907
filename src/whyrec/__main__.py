"""`python -m whyrec`."""

from whyrec.cli import main

main()

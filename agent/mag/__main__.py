"""`python -m mag`: the same as the command `mag`."""

from mag.cli.app import main

main()

"""`python -m kith` is `kith`."""

from kith.app.cli import main

main()

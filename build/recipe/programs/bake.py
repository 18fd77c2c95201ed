"""Runs inside the guest, last thing before its memory becomes the image."""

from cloche_guest.baking import main

main()

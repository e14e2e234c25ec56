"""The cloud on one machine: an AWS emulator, JAXA's look-alike server and synthetic archives."""

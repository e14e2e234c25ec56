"""An archive of 2 GB from a source of 1 MB/s, through the deployed state machine on the emulator of this machine."""

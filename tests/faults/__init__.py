"""What goes wrong on a tile's way from the server to the bucket, and what the worker makes of it."""

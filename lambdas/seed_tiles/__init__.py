"""The Lambda function that lists the tiles of a run."""

"""The Lambda function that looks for what is new at the source."""

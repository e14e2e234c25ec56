"""The Lambda function that tells people how a run ended."""

"""The Lambda function that counts how a run ended."""

"""The Lambda function that processes one tile of one year."""

"""The Lambda that takes failed tiles out of the dead-letter queue."""

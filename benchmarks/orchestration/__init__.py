"""What a run costs beside its tiles: seeding, summing up, and a whole run whose worker does nothing."""

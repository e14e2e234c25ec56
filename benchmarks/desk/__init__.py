"""How long the operator's commands take over a globe's year."""

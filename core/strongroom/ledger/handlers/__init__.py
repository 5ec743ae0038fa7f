"""One handler for each type of entry body: named checks from top to bottom, then the change."""

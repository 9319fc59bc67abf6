"""What the two ends of a sync say to each other, and what a sync must carry."""

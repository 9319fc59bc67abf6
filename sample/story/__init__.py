"""The story that ./demo tells: a pair seeds and syncs under load, and an independent judge compares after each sync."""

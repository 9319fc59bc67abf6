"""What nodes say to each other and how they change: models, the pure table of transitions, the client."""

"""What only a node that came back had: saved before it is overwritten, kept until an administrator discards it."""

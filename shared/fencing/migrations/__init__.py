"""Numbered forward migrations of schema `fence` in the node's own database; a released file is never changed."""

"""Numbered forward migrations of schema `control`; a released file is never changed."""

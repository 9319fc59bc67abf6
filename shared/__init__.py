"""The language that both services speak: models, pure plans, and thin adapters; it never imports a service."""

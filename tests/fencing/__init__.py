"""The fence, tried on real servers: what each strength stops, its record, its proof, and the role that applies."""

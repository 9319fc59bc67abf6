"""The agent: owns the node, captures and exports its data, and answers for its state."""

"""The two services of a node: the agent owns it, the controller thinks for it; neither imports the other."""

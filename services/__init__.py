"""The two services of a node: the agent, which owns it, and the controller, which thinks for it; neither imports the other."""

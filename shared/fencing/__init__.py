"""Closing a node's databases to everybody but us, ending who is inside, proving it, and giving back what was taken.

The agent uses it, and the controller of the same node when the agent is dead: nothing here knows a service or a state.
"""

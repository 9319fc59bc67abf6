"""File sets on the target side: what a sync has to do, gathered beside the tree, then put in place step by step."""

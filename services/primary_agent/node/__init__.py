"""The node itself: its record, its state, and the looks at peers and databases that they are judged by."""

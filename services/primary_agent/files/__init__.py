"""File sets on the source side: what lies in them, told path by path, and the contents of the files asked for."""

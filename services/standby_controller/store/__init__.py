"""What the controller remembers, in schema `control` of the node's own database. The only place here with SQL."""

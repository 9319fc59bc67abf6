-- Holds the place of what notifications need.
SELECT;

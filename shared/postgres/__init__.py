"""What both services need of PostgreSQL: sessions, catalogs, named SQL, COPY."""

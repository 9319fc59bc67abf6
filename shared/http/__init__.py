"""HTTP at the edge of both services: applications, servers, problems, credentials; the web libraries live here."""

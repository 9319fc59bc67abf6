"""Changes of roles as this controller drives them: failover, switchover, return. The agents hold the records."""

"""Ships what a standby has not got, all at one snapshot."""

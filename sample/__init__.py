"""The sample application: a device-management database, its workload, an independent comparison."""

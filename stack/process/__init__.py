"""The process engine: replicas and balancer as processes of this machine."""

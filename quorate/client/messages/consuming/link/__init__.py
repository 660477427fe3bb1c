"""What a consumer has of the cluster: its session, over one stream after the other."""

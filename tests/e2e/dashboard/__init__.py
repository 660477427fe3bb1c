"""A package, so that its tests share one cluster (fixtures of scope `package`)."""

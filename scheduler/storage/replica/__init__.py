"""The standby: the log read, followed and folded into the state that a leader works on."""

"""Records in etcd and rows in memory: encoding, keys, folding the log, fenced reads."""

"""`make showcase`: a busy cluster of real processes, in which faults are made one after another.

* `cluster`: etcd, schedulers, nodes and a gateway, each a process that can be killed or frozen
* `faults`: what goes wrong, what has to say so and within how many seconds, and how it is mended
* `__main__`: makes them and prints what said so, and when

To add a fault, add it to `faults.FAULTS`.
"""

"""Jobs in the state: `moves` has what happens to them, on the leader and on standbys alike,
`nodes` what arrays are in a graph, `invariants` what holds of them."""

"""Jobs in the state: `moves` has what happens to them, on the leader and on standbys alike,
`invariants` what holds of them."""

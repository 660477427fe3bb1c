"""How each type of exchange finds the bindings that match; one file for each."""

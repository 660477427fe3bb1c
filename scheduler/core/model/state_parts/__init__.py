"""Parts of the state, each with its indexes. `State` is all of them."""

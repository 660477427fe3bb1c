"""PURE: which node an attempt goes to. One file per strategy; `pipeline` joins them."""

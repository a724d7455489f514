"""One person, one entry, as far as a backend can: what a show promises about guests, and where entries come from."""

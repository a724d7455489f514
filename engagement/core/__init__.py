"""Pure rules of the live side: no framework, clock, randomness or socket."""

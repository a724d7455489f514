"""Pure rules of the draw, standard library only: no framework, clock, randomness or socket."""

"""Pages of the draw side: the control room, the public pages of draws, those of parties and of winners."""

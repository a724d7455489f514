"""The draw side of a show: rolls, seals, draws and the records that anyone can check."""

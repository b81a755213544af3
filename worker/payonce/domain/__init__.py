"""The rules of payments, pure: no clock, no await, no I/O, standard library only."""

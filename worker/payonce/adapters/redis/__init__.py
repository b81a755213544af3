"""Redis sheds load: what it forgets is found out another way."""

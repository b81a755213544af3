"""What keeps the things that payonce is made of honest: secrets, advisories, bill of materials."""

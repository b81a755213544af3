"""The narrow protocols through which handlers reach the world."""

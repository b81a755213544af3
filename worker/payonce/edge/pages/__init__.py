"""What people look at: `templates/<part>/` and `static/<part>.*` for each part of it."""

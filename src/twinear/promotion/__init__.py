"""Whether a challenger becomes champion: judged on the same held-out artists, decided by rule."""

"""The catalogue: every artist encoded once, the corrections of its scores, its neighbours."""

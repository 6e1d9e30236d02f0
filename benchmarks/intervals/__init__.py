"""Coverage and width of prediction intervals and sets: by simulation, and beside MAPIE."""

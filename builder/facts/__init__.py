"""Facts of an image: views in, facts out."""

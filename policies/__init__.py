"""What an image must satisfy: facts, controls, packs. Knows no image format."""

"""image.yaml to a frozen ImageDefinition, and the mkosi tree rendered from it."""

"""Why two builds of the same inputs differ in a file: what of the machine, the moment or chance got into it."""

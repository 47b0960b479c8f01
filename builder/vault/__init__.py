"""The vault: every file that a build takes in, by its digest, and what is made of them and done with them."""

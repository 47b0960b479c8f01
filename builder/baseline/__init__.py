"""Reading what is compared: releases, their statements alone, and disk images, as ``builder.compare`` takes them."""

"""PCR banks, events and prediction: one module per PCR family."""

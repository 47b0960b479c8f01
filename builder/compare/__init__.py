"""The difference of two baselines: what changed, and which measurement it moved. Pure: values in, values out."""

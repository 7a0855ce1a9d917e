def round_sizes(dtype, device):
    return ()

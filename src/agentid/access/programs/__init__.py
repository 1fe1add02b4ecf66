"""Other programs: what starts them, and the server of `multiprocessing` that forks them off."""

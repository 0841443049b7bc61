"""What replicas cost: CPU, memory, GPU, sessions; and what machine this is."""

"""What users write into files, read with positions and turned into the core's definitions."""

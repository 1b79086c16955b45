"""What a task does: each kind of action that an attempt can run."""

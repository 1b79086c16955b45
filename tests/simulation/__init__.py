"""The production service on a virtual clock, under a scheduler and faults that a seed chooses.

Real: `Service`, `SensorSupervisor`, the core, `SqliteStore` and SQLite itself. Simulated: time, the order of
steps, threads, processes, the broker, clients, and what the kernel keeps of a file when a process dies.
"""

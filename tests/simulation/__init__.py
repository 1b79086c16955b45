"""The production service on a virtual clock, under a scheduler and faults that a seed chooses.

Real: `Service`, `SensorSupervisor`, `MqttSensor`, the core, `SqliteStore` and SQLite. Simulated: time, the
order of steps, threads, processes, the broker, clients and what is left of a file when a process dies.
"""

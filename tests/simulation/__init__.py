"""The production service on a virtual clock, under a scheduler and faults that a seed chooses.

Real: `Service`, the HTTP server, `SensorSupervisor`, `MqttSensor`, the core, `SqliteStore` and SQLite.
Simulated: time, the order of steps, threads, processes, connections, the broker, and what is left of a file.
"""

"""sensorflow: fires a task when all of its upstream data has arrived, for its partition."""

__version__ = "0.1.0"

"""The decisions of sensorflow, pure: no clock, no file, no socket, no thread."""

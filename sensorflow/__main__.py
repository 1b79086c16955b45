"""Makes `python -m sensorflow` the same as `sensorflow`."""

from sensorflow.cli import main

if __name__ == "__main__":
    main()

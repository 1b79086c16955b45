"""The command line: on a home itself, or by asking the service."""

from sensorflow.cli.commands import main

__all__ = ["main"]

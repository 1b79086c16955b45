"""The REST API: routes by subject. The only way in for programs, the command line and the page."""

from sensorflow.web.api import Api
from sensorflow.web.app import build_app

__all__ = ["Api", "build_app"]

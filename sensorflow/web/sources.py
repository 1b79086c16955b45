"""Which sources a sender may name: those that the service gives by itself are not to be taken from it.

`source` and `id` are an event's identity. Who may post could else take that of a delivery, a file or a
task's output before it comes, and the real one would be a duplicate.
"""

from sensorflow.web.problems import shown
from sensorflow.web.schemas import ErrorPlace

#: What the sources of sensors and tasks begin with.
OWN_SOURCES = ("/hooks/", "/mqtt/", "/file/", "/http/", "/schedule/", "/pipelines/")


def foreign_source(source: str) -> ErrorPlace:
    """Return what is wrong with a source that a sender named and that begins as one of the service's own."""
    expected = f"a source of the sender's own, which does not begin with {', '.join(OWN_SOURCES)}"
    return ErrorPlace(where="/source", expected=expected, found=shown(source))

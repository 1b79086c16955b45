"""What observes events outside. Kinds of a user's own live in a home's `sensors/*.py`."""

from sensorflow.ports import Sensor
from sensorflow.sensors.file import FileSensor
from sensorflow.sensors.mqtt import MqttSensor

#: The kinds that run by themselves, by what `type:` calls them.
SENSORS: dict[str, type[Sensor]] = {"file": FileSensor, "mqtt": MqttSensor}

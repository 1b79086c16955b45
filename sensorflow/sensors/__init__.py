"""What observes events outside. Kinds of a user's own live in a home's `sensors/*.py`."""

from sensorflow.ports import Sensor
from sensorflow.sensors.file import FileSensor
from sensorflow.sensors.http import HttpSensor
from sensorflow.sensors.mqtt import MqttSensor
from sensorflow.sensors.schedule import ScheduleSensor

#: The kinds that run by themselves, by what `type:` calls them.
SENSORS: dict[str, type[Sensor]] = {
    "file": FileSensor,
    "http": HttpSensor,
    "mqtt": MqttSensor,
    "schedule": ScheduleSensor,
}

"""MQTT brokers for tests: mosquitto where it is installed, else amqtt."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

START_TIMEOUT_S = 15.0

# MQTT 3.1.1 CONNECT with a clean session, keep-alive of 10 s and an empty client id.
_CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00"
_CONNACK_ACCEPTED = b"\x20\x02\x00\x00"


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(host: str, port: int) -> bool:
    """Say whether an MQTT broker takes a connection there."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(_CONNECT)
            return connection.recv(4) == _CONNACK_ACCEPTED
    except OSError:
        return False


def mosquitto() -> str | None:
    """Return where mosquitto is installed; Debian puts it where only root's PATH looks."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


class Broker:
    """A broker process of one test, on a port that it keeps over `stop` or `kill` and `start`.

    The calls wait for the broker; an async test that must go on meanwhile uses `asyncio.to_thread`.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, program: str | None = None, *, lines: str = "") -> None:
        """Prepare, not start. `program` is the path of a mosquitto; None takes amqtt.

        Args:
            lines: More of what stands in the configuration of mosquitto's listener.
        """
        self.port = free_port()
        #: Persistent sessions outlive their connection, and what `stop` saved outlives the broker.
        self.keeps_sessions = program is not None
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        if program is not None:
            config = folder / "mosquitto.conf"
            config.write_text(
                f"listener {self.port} {self.host}\n{lines}allow_anonymous true\nlog_dest stderr\n"
                f"persistence true\npersistence_location {folder}/\n"
                "user root\n"  # Counts only where root runs the tests: stay it, to write in the folder.
            )
            self._command = [program, "-c", str(config)]
        else:
            config = folder / "amqtt.yaml"
            config.write_text(
                f"listeners: {{default: {{type: tcp, bind: '{self.host}:{self.port}'}}}}\n"
                "plugins: {amqtt.plugins.authentication.AnonymousAuthPlugin: {allow_anonymous: true}}\n"
            )
            self._command = [sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(config)]

    @property
    def log(self) -> str:
        """What the broker has told so far, over all its lives."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start, and return when it takes connections."""
        assert self._process is None, "the broker runs already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not answers(self.host, self.port):
            try:
                self._process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                if time.monotonic() < give_up_at:
                    continue
            self.kill()
            raise RuntimeError(f"{self._command} did not start:\n{self._log.read_text(errors='replace')}")

    def stop(self) -> None:
        """Ask it to end, and wait for that; mosquitto saves its sessions and retained messages."""
        self._end(kill=False)

    def kill(self) -> None:
        """End it at once; what it has not saved is gone."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        process.wait(timeout=START_TIMEOUT_S)

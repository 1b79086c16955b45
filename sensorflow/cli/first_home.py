"""What `sensorflow init` writes: a home that works at once."""

#: The day whose orders the home brings along.
DAY = "2026-03-02"

_SETTINGS = """\
# How the service runs on its machine. The lines behind `#` are the defaults: take the `#` away to change one.
# The environment wins: SENSORFLOW_PORT is the port, SENSORFLOW_PORT_FILE a file that holds it, and so on.

# host = "127.0.0.1"
# port = 8484
# The file of the store, relative to this folder.
# store = ".sensorflow/state.db"

# Attempts at once, over all pipelines; without it twice the cores of the machine.
# workers = 8
# Seconds between SIGTERM and SIGKILL for what still runs at a stop.
# stop_grace = 10.0

# What is over is removed so long after it came or ended, or is kept "forever".
# retention_events = "90d"
# retention_runs = "365d"
# retention_logs = "30d"

# log_level = "info"
# log_format = "text"

# Names by which the service may be called besides those of its own machine.
# allowed_hosts = []

# Who is told of what goes wrong; without one it goes to the service's log.
# [[alerts]]
# type = "webhook"
# url = "${ALERTS_URL}"
# on = ["failed", "late", "sensor_down"]
"""

_PIPELINE = """\
description: A day's orders, added up when their file and the day's customers are there
partition: daily                # one run a day
timezone: UTC                   # whose days, and whose clock

datasets:
  customers:
    # Missing by then is late: an alert tells of it, and `sensorflow why sales` says how late.
    expect: "06:00"

sensors:
  orders_file:                  # a file that lands here makes the orders of its day ready
    type: file
    path: landing/orders/{partition}.csv
    dataset: orders
  customers_posted:             # POST /api/v1/events; or, shorter: sensorflow ready customers DAY
    type: events
    match: {type: [customers.exported]}
    partition: data.day
    dataset: customers

tasks:
  report:
    inputs: [orders, customers]                 # starts when both of the same day are there, and never before
    run: [python3, pipelines/jobs/report.py]    # gets the day as SENSORFLOW_PARTITION
    retries: {max: 2, delay: 10s}
    outputs: [sales_daily]                      # ready when it has succeeded: other pipelines may read it
"""

_TASK = '''\
"""Adds up the orders of a day. It replaces the day's report as a whole, so it can run again at any time."""

import csv
import os
from pathlib import Path

day = os.environ["SENSORFLOW_PARTITION"]
with open(f"landing/orders/{day}.csv", newline="") as file:
    orders = list(csv.DictReader(file))
total = sum(float(order["amount"]) for order in orders)
report = Path("reports", f"{day}.txt")
report.parent.mkdir(exist_ok=True)
report.write_text(f"{len(orders)} orders, {total:.2f} in all\\n")
print(f"wrote {report}: {len(orders)} orders, {total:.2f} in all")
'''

_ORDERS = """\
id,customer,amount
1,c1,9.50
2,c2,20.00
"""

#: The files by their paths in the home.
FILES = {
    "sensorflow.toml": _SETTINGS,
    "pipelines/sales.yaml": _PIPELINE,
    "pipelines/jobs/report.py": _TASK,
    f"landing/orders/{DAY}.csv": _ORDERS,
}

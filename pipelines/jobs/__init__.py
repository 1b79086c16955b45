"""The demo's task code: what its pipelines run, and the feeder that plays the outside world."""

"""Stories played through the decisions under a virtual clock: nothing is executed, nothing is stored."""

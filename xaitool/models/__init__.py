"""What model plugins build on: checkpoints, and a module made into a :class:`~xaitool.contracts.ModelBundle`."""

"""The engine: one module a stage, each a function of values to values; :mod:`xaitool.engine.run` tells the story."""

"""Whether an explanation can be trusted: scores, controls, intervals, and a verdict in words."""

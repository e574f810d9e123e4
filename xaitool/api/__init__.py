"""``xaitool.explain``: explanations of a model that the user holds, in a script or a notebook."""

"""``xaitool explain``: a model's explanations of any number of image files, in constant memory, in a folder."""

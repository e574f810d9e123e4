"""What data-set plugins build on: Albumentations pipelines, image arrays and a cache of decoded images."""

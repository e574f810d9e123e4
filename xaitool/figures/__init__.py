"""Every picture of a run: numpy arrays in, matplotlib figures out.

Uses matplotlib's object interface only (no pyplot, no windows, no global state), and no torch. Images are N×H×W×3,
uint8 or float in [0, 1]; labels are indices into a sequence of class names; whatever text is too long is shortened.
"""

from xaitool.figures.confusion import confusion_matrix
from xaitool.figures.data import channels, random_samples, samples_by_class
from xaitool.figures.explanations import explained, mistakes, overlay
from xaitool.figures.files import save
from xaitool.figures.training import lr_curve, lr_schedule, training_curves

__all__ = [
    "channels",
    "confusion_matrix",
    "explained",
    "lr_curve",
    "lr_schedule",
    "mistakes",
    "overlay",
    "random_samples",
    "samples_by_class",
    "save",
    "training_curves",
]

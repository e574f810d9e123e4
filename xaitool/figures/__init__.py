"""Every picture of a run: numpy arrays in, matplotlib figures out.

Uses matplotlib's object interface only (no pyplot, no windows, no global state), and no torch. Images are N×H×W×3,
uint8 or float in [0, 1]; labels are indices into a sequence of class names; whatever text is too long is shortened.
"""

from xaitool.figures.calibration import reliability
from xaitool.figures.comparison import compared_curves, compared_schedules
from xaitool.figures.confusion import confusion_matrix
from xaitool.figures.data import channels, random_samples, samples_by_class
from xaitool.figures.evidence import evidence
from xaitool.figures.explanations import explained, mistakes, overlay
from xaitool.figures.files import drawn, save
from xaitool.figures.perturbation import has_curves, perturbation_curves
from xaitool.figures.training import lr_curve, lr_schedule, training_curves
from xaitool.figures.triage import differences
from xaitool.figures.verdicts import Dot, Dots, scores_against_controls, scores_of_layers

__all__ = [
    "Dot",
    "Dots",
    "channels",
    "compared_curves",
    "compared_schedules",
    "confusion_matrix",
    "differences",
    "drawn",
    "evidence",
    "explained",
    "has_curves",
    "lr_curve",
    "lr_schedule",
    "mistakes",
    "overlay",
    "perturbation_curves",
    "random_samples",
    "reliability",
    "samples_by_class",
    "save",
    "scores_against_controls",
    "scores_of_layers",
    "training_curves",
]

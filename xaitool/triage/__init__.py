"""Triage of a classifier's mistakes: what they rest on, which are alike, and which may be the label's own."""

from xaitool.triage.result import Triage

__all__ = ["Triage"]

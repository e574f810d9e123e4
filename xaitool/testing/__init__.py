"""The conformance kit: whether a plugin does what its contract promises, for its author's own tests."""

from xaitool.testing.checks import CheckError
from xaitool.testing.kit import Case, cases, conformance

__all__ = ["Case", "CheckError", "cases", "conformance"]

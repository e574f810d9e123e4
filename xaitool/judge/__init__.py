"""Whether an explanation can be trusted: scores, controls, intervals, and a verdict in words."""

from xaitool.judge.judge import Judge
from xaitool.judge.judgement import Judgement, Measure
from xaitool.judge.verdict import Verdict

__all__ = ["Judge", "Judgement", "Measure", "Verdict"]

"""What strategies may ask: a benchmark's table, a score, a supernet, a short training."""

from nas.blackbox.evaluator import Evaluation, Evaluator

__all__ = ["Evaluation", "Evaluator"]

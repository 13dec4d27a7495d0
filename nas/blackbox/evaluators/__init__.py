"""Evaluators: tabular benchmark, zero-cost proxy, trained supernet, short training."""

from nas.blackbox.evaluator import Evaluator, QueryResult

__all__ = ["Evaluator", "QueryResult"]

"""Evaluation of candidates in this process, in worker processes, on Ray, or in any concurrent.futures pool."""

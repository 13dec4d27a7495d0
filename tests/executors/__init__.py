"""Tests of nas.executors."""

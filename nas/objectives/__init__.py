"""Objectives of searches and trainings: classification, resource penalties, rewards and perturbations."""

"""Campaigns of random kills, competing processes, hostile files and mistyped command lines, repeatable by a seed."""

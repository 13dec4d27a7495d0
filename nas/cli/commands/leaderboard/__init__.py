"""Command ``nas-search leaderboard``: published results and finished runs in one table per task."""

"""Lightning callbacks: schedules, selection, recording and guards. They know searches only as ``Search``."""

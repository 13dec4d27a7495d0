"""Lightning callbacks: schedules, selection, recording and guards. They use searches through the class ``Search``."""

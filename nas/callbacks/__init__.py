"""What happens around a search: schedules, records, guards. Callbacks know searches only as ``Search``."""

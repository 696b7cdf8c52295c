"""Sources that propose, a ranker that orders: fitted on what lies before a cut, scored by one path."""

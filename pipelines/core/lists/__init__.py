"""From scored candidates to the list that somebody is shown, and why."""

"""From what a shop sent to interactions that can be trusted: mapped, checked, prepared, explored."""

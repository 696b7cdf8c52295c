"""Who may do what, how often, and how much at a time. Pure ASGI: it runs before every request."""

"""Commands around the stages: services, the demo, connecting a shop."""

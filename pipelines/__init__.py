"""Batch pipelines of RecoMart: from raw events to a registered model."""

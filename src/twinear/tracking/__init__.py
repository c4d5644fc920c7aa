"""Runs in MLflow: the only part that imports it, or an object that does nothing.

Tracking goes to `MLFLOW_TRACKING_URI`, else to `mlflow.db` in the project's root (also from DVC's
temporary experiment folders). `TWINEAR_TRACKING=off` turns it off. A run belongs to a scorer and is
found by the SHA-256 of the scorer's file.
"""

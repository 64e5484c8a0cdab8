"""Trackers: callbacks that show trials in TensorBoard or MLflow, and never stand in the way."""

from nasopt.trackers.database import log_studies, make_tracker
from nasopt.trackers.mlflow import MLflow
from nasopt.trackers.tensorboard import TensorBoard
from nasopt.trackers.tracker import Tracker

__all__ = ["MLflow", "TensorBoard", "Tracker", "log_studies", "make_tracker"]

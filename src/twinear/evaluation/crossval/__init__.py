"""The parts of a cross-validation: folds without common artists, their trainings, their scores."""

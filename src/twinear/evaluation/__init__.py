"""Cross-validation, and evaluation on any data folder, beside scores computed elsewhere."""

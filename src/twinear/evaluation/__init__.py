"""Cross-validation and evaluation on any data folder, beside scores made elsewhere."""

"""What every part stands on: errors, whole-or-nothing files, params, the frame of a stage."""

"""The service: similar artists over HTTP, with playback, reasons and the figures of the report."""

"""Where spans and metrics go: the local SQLite file, and OTLP. Every exporter here redacts by itself."""

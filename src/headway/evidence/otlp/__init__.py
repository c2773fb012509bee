"""What OpenTelemetry SDKs send: received over HTTP in a process of its own, taken apart, kept as rows of spans."""

"""Everything that runs WhisperLive: spec, engines, balancer, replica, telemetry, offline model."""

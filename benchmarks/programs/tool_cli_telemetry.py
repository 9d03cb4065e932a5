"""A command with one call, profiled by cli-telemetry."""

from cli_telemetry.telemetry import end_session, profile, start_session

start_session(command_name="deploy", service_name="tool")


@profile
def deploy(artifact_name, artifact_type, collection_name, project_path):
    """Do nothing, profiled."""
    return True


deploy("canvas", "skill", "default", "/srv/shop")
end_session()

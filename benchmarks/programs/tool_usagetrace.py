"""A command with one tracked call."""

from usagetrace import track


@track.deploy
def deploy(artifact_name, artifact_type, collection_name, project_path):
    """Do nothing, tracked."""
    return True


deploy("canvas", "skill", "default", "/srv/shop")

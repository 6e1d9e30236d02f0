"""Pictures of the course, drawn when the site is built. Placeholder."""


def setup(app):
    """Nothing yet."""

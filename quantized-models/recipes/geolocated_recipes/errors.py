"""The one error that a recipe ends with on purpose."""


class RecipeError(Exception):
    """What was expected and what was found; printed without a traceback."""

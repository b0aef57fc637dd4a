"""What the course trains, one recipe a model: the network, the data, the loss. `python -m course_lib train NAME`."""

from course_lib.recipes.base import Recipe
from course_lib.recipes.latent import LatentRecipe
from course_lib.recipes.oracle import OracleRecipe
from course_lib.recipes.pixels import PixelRecipe
from course_lib.recipes.reading import ReadingRecipe
from course_lib.recipes.run import train, train_all
from course_lib.recipes.text import TextRecipe
from course_lib.recipes.vae import VAERecipe
from course_lib.runtime import CourseError

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (
    PixelRecipe(), VAERecipe(), TextRecipe(), OracleRecipe(), ReadingRecipe(), LatentRecipe())}
# `train all`: the text-to-image stack in the order in which its parts need each other, and their shares of the time.
SHARES = {"vae": 0.25, "text": 0.12, "oracle": 0.13, "reading": 0.02, "latent": 0.48}

__all__ = ["RECIPES", "SHARES", "Recipe", "find_recipe", "train", "train_all"]


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`; CourseError if there is none."""
    if name not in RECIPES:
        raise CourseError(f"There is no model called '{name}' to train: choose from {', '.join(RECIPES)}, or all.")
    return RECIPES[name]

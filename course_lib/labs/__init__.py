"""The labs: things to scrub, one line each in a notebook."""

from course_lib.labs.denoiser import denoiser
from course_lib.labs.field import field
from course_lib.labs.guidance import guidance
from course_lib.labs.latent import latent
from course_lib.labs.noise import noise
from course_lib.labs.scrubber import Scrubber
from course_lib.labs.shared_space import shared_space
from course_lib.labs.trajectory import scrub

__all__ = ["Scrubber", "denoiser", "field", "guidance", "latent", "noise", "scrub", "shared_space"]

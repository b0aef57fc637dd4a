"""The labs: things to scrub, one line each in a notebook."""

from course_lib.labs.attention import attention
from course_lib.labs.between import between
from course_lib.labs.denoiser import denoiser
from course_lib.labs.denoising import denoising
from course_lib.labs.edit import edit
from course_lib.labs.extend import extend
from course_lib.labs.field import field
from course_lib.labs.guidance import guidance
from course_lib.labs.inpaint import inpaint
from course_lib.labs.invert import invert
from course_lib.labs.latent import latent
from course_lib.labs.noise import noise
from course_lib.labs.schedulers import schedulers
from course_lib.labs.scrubber import Scrubber
from course_lib.labs.shared_space import shared_space
from course_lib.labs.trajectory import scrub
from course_lib.labs.vary import vary

__all__ = ["Scrubber", "attention", "between", "denoiser", "denoising", "edit", "extend", "field", "guidance",
           "inpaint", "invert", "latent", "noise", "schedulers", "scrub", "shared_space", "vary"]

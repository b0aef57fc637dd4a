"""How good is a model? Measured on pages that it has never seen; these functions are given pictures and networks."""

from .distances import FEATURES, oracle_features, frechet, psnr, reconstruct, reconstruction_psnr
from .obedience import SLOTS, Obedience, obedience
from .pixels import TIMES, held_out_error, recognised
from .reading import Reading, oracle_accuracy, read
from .retrieval import retrieval

__all__ = ["FEATURES", "Obedience", "Reading", "SLOTS", "TIMES", "oracle_features", "frechet", "held_out_error",
           "obedience", "oracle_accuracy", "psnr", "read", "recognised", "reconstruct", "reconstruction_psnr",
           "retrieval"]

"""How far pictures are from one another: one by one (PSNR), and as a whole (the Frechet distance)."""

import numpy as np
import torch
from torch import Tensor

from course_lib.oracle import Oracle
from course_lib.pictures import to_tensor, to_uint8
from course_lib.vae import VAE

FEATURES = 64  # numbers for each picture that the Frechet distance compares


@torch.inference_mode()
def oracle_features(oracle: Oracle, pictures: np.ndarray, batch: int = 64) -> Tensor:
    """Pictures uint8 (N, 64, 64, 3) -> float64 (N, FEATURES), on the CPU, for `frechet`.

    What the oracle's four questions found, 512 numbers, seen from `FEATURES` fixed random directions, each at right
    angles to the others. Fewer, because the covariance of 512 numbers cannot be estimated from 512 pictures: the
    distance would be all bias. Random, because a direction chosen for what real pictures vary in would miss what only
    generated ones do.
    """
    device = next(oracle.parameters()).device
    found = torch.cat([oracle.features(to_tensor(pictures[start:start + batch]).to(device)).flatten(1).cpu()
                       for start in range(0, len(pictures), batch)]).double()
    source = torch.Generator().manual_seed(0)
    directions = torch.randn(found.shape[1], FEATURES, generator=source, dtype=torch.float64)
    return found @ torch.linalg.qr(directions).Q


def frechet(a: Tensor, b: Tensor) -> float:
    """The Frechet distance, squared, of two sets of features (N, F) and (M, F), each taken for a Gaussian:
    |mean_a - mean_b|^2 + trace(A + B - 2 (A B)^(1/2)), A and B the covariances. (Heusel et al. 2017, eq. 6.)

    Two samples of the very same pictures do not come to 0, for their covariances differ by chance, the more so the
    fewer there are: a distance means something beside that of real pictures from other real ones, as many.
    """
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T).reshape(a.shape[1], -1), torch.cov(b.T).reshape(b.shape[1], -1)
    # The trace of (A B)^(1/2) is that of (R B R)^(1/2) with R = A^(1/2), a symmetric matrix: no complex roots.
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    distance = (a.mean(dim=0) - b.mean(dim=0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return max(0.0, distance.item())


def psnr(pictures: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """The peak signal-to-noise ratio of each copy in dB, both uint8 (N, H, W, 3) -> (N,):
    10 log10(255^2 / mean squared error). A copy without any error counts as if one colour of one pixel were off by 1.
    """
    errors = np.square(pictures.astype(np.float64) - copies).mean(axis=(1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(errors, 1 / pictures[0].size))


@torch.inference_mode()
def reconstruct(vae: VAE, pictures: np.ndarray, batch: int = 64) -> np.ndarray:
    """Pictures uint8 (N, H, W, 3) through the VAE and back, rounded to uint8 as pictures are shown."""
    device = vae.shift.device
    return np.concatenate([to_uint8(vae.decode(vae.encode(to_tensor(pictures[start:start + batch]).to(device))))
                           for start in range(0, len(pictures), batch)])


def reconstruction_psnr(vae: VAE, pages: dict[str, Tensor]) -> dict:
    """How well the VAE keeps held-out pages (as from `held_out`).

    vae_psnr_db: the mean of the pictures' own PSNR, which is what is usually quoted; of_mean_error_db: the PSNR of
    the mean squared error of all together, which is never larger; worst_db: of the worst picture.
    """
    pictures = pages["pictures"].permute(0, 2, 3, 1).numpy()
    copies = reconstruct(vae, pictures)
    each = psnr(pictures, copies)
    error = np.square(pictures.astype(np.float64) - copies).mean()
    return {"pages": len(pictures), "vae_psnr_db": round(float(each.mean()), 2),
            "of_mean_error_db": round(float(10 * np.log10(255**2 / error)), 2), "worst_db": round(float(each.min()), 2)}

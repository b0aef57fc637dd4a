"""Do words find their pictures in the shared space, and pictures their words?"""

import numpy as np
import torch
from torch import Tensor

from course_lib.picturebook import agree
from course_lib.text import SharedSpace


@torch.inference_mode()
def retrieval(space: SharedSpace, pages: dict[str, Tensor], count: int = 1000, batch: int = 100) -> dict:
    """Recall at 1 among the first `count` held-out pages (as from `held_out`), each with its first caption.

    text_to_picture: the share of captions whose nearest picture shows all that the caption states; picture_to_text:
    the share of pictures whose nearest caption they agree with. So another page of which a caption is as true counts
    as found. (`agree` is the judge.) retrieval_at_1: the mean of the two; by_chance: what guessing would get.
    """
    device = next(space.parameters()).device
    tokens, pictures = pages["tokens"][:count, 0].long(), pages["pictures"][:count]
    said = torch.cat([space.embed_text(part.to(device)) for part in tokens.split(batch)])
    shown = torch.cat([space.embed_pictures(part.to(device).float() / 127.5 - 1) for part in pictures.split(batch)])
    similarities = (said @ shown.T).cpu().numpy()
    right = agree(pages["stated"][:count, 0].numpy(), pages["scenes"][:count].numpy())  # (captions, pictures)
    captions, everyone = similarities.argmax(axis=0), np.arange(len(right))
    to_picture = float(right[everyone, similarities.argmax(axis=1)].mean())
    to_text = float(right[captions, everyone].mean())
    return {"pairs": len(right), "text_to_picture": round(to_picture, 4), "picture_to_text": round(to_text, 4),
            "retrieval_at_1": round((to_picture + to_text) / 2, 4), "by_chance": round(float(right.mean()), 4)}

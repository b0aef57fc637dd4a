"""Several processes that train one model, each on its share of every batch: `torchrun`, `accelerate launch`.

Every process draws the same random numbers for the whole batch and takes its share of it, so the gradients, averaged,
are those that one process would have had. Where there is one process alone, all of this does nothing.
"""

import os

import torch
from torch import Tensor, distributed

from course_lib.runtime import CourseError, pick_device


def start(name: str) -> torch.device:
    """Meet the other processes, if there are any, and take the device called `name`: each process its own GPU.

    Raises CourseError if the device is not there, or if there are fewer GPUs than processes.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) <= 1 or "MASTER_ADDR" not in os.environ:
        return pick_device(name)
    if name in ("auto", "cuda") and torch.cuda.is_available():
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    device = pick_device(name)
    if device.type == "mps":
        raise CourseError("Only one process can use an Apple GPU: start it without torchrun, or use --device cpu.")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def stop() -> None:
    """Take leave of the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def world() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def leads() -> bool:
    """Whether this is the process that writes files and speaks."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def own_part(*batch: Tensor) -> list[Tensor]:
    """This process's rows of tensors that hold a whole batch; one row in `world()`."""
    first = distributed.get_rank() if distributed.is_initialized() else 0
    return [tensor[first::world()] for tensor in batch]


def wait() -> None:
    """Go on when every process has come so far."""
    if distributed.is_initialized():
        distributed.barrier()


def gather(x: Tensor) -> Tensor:
    """The rows of all processes, one process's after another's; gradients find their way back to each."""
    return x if world() == 1 else _Gather.apply(x)


class _Gather(torch.autograd.Function):
    """Every process reckons with all rows, so a row's gradient is the sum of what each of them found for it."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world())]
        distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return gradient.chunk(world())[distributed.get_rank()]


def average_gradients(parameters: list[Tensor]) -> None:
    """Give each parameter the mean of its gradients in all processes."""
    if world() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])  # one message, not a hundred
    distributed.all_reduce(together)
    parts = (together / world()).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts):
        gradient.copy_(part.view_as(gradient))


def mean_of_all(device: torch.device, *numbers: float) -> list[float]:
    """The mean of each number over all processes, the same in each of them."""
    if world() == 1:
        return list(numbers)
    together = torch.tensor(numbers, dtype=torch.float64, device=device)
    distributed.all_reduce(together)
    return (together / world()).tolist()

"""What torchvision's networks say about the photos that the kit ships, for a classroom without a network.

    TORCH_HOME=FOLDER python tests/tools/experiments/zoo_top5.py [NETWORK ...]

Networks whose weights are not in TORCH_HOME (and cannot be fetched) are left out; what was computed stays in the file.
"""

from __future__ import annotations

import sys
from typing import Any

import torchvision
from stored import KIT, compute

from helpers import activations, models, photos

FILE = KIT / "notebooks" / "results" / "09_top5.json"
NETWORKS = ("squeezenet1_1", "mobilenet_v2", "resnet18", "resnet50", "efficientnet_b0")
PHOTOS = ("coffee", "cat", "rocket", "grace_hopper")


def top5(network: str, photo: str, seed: int) -> dict[str, Any]:
    """The five likeliest classes and their probabilities, by the network's first published weights."""
    weights = next(iter(torchvision.models.get_model_weights(network)))
    model = torchvision.models.get_model(network, weights=weights).eval()
    image = weights.transforms()(photos.load(photo)).unsqueeze(0)
    best = activations.top_k(model, image, weights.meta["categories"])
    return {"weights": weights.name, "top5": [[name, round(probability, 4)] for name, probability in best.rows]}


def main(names: list[str]) -> None:
    """Compute every network that can be had on every photo."""
    here = [name for name in names or NETWORKS if _can_be_had(name)]
    jobs = [{"network": network, "photo": photo, "seed": 0} for network in here for photo in PHOTOS]
    about = "probabilities of the five likeliest classes; squeezenet1_1 had weights of 16 bits, mobilenet_v2 of 8"
    compute(FILE, jobs, top5, shown="notebook 09, section 7", data="photos of helpers.photos", about=about)


def _can_be_had(network: str) -> bool:
    try:
        models.load(network)
    except models.WeightsUnavailable as error:
        print(f"{network} is left out: {error}")
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])

"""The bank: all questions by id, in the order of the course, and the generators of random ones."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from random import Random

from helpers.exercises.bank import (
    batchnorm,
    conv,
    cost,
    field,
    nets,
    params,
    pool,
    recipe,
    resnet,
    shapes,
    training,
    transfer,
)
from helpers.exercises.questions import Question, listed

TOPICS = {
    "conv": "convolutions: what comes out",
    "pool": "pooling",
    "params": "counting parameters",
    "field": "receptive fields",
    "cost": "work and memory",
    "nets": "LeNet, AlexNet, VGG, ResNet",
    "batchnorm": "batch normalisation",
    "training": "training",
    "transfer": "transfer learning",
}
_MODULES = (
    conv, shapes, pool, params, field, cost, nets,
    resnet, batchnorm, training, recipe, transfer,
)


def _rank(question: Question) -> tuple[int, int]:
    return list(TOPICS).index(question.topic), int(question.id.partition("-")[2])


BANK: dict[str, Question] = {q.id: q for q in sorted((q for m in _MODULES for q in m.QUESTIONS), key=_rank)}
GENERATORS: dict[str, list[Callable[[Random], Question]]] = {
    topic: [make for m in _MODULES for make in m.PRACTICE.get(topic, ())] for topic in TOPICS
}


def find(question_id: str) -> Question:
    """The question with this id; ValueError names the nearest ids."""
    if question_id in BANK:
        return BANK[question_id]
    near = difflib.get_close_matches(str(question_id), list(BANK), n=3, cutoff=0.5)
    advice = f"Near to it: {listed(near)}." if near else f"An id is a topic and a number; the topics: {listed(TOPICS)}."
    raise ValueError(f"There is no question {question_id!r}. {advice}")


def find_topic(topic: str) -> str:
    """``topic`` itself; ValueError where there is none of that name."""
    if topic in TOPICS:
        return topic
    near = difflib.get_close_matches(str(topic), list(TOPICS), n=1, cutoff=0.5)
    advice = f"Did you mean {listed(near)}? " if near else ""
    raise ValueError(f"There is no topic {topic!r}. {advice}The topics: {listed(TOPICS)}.")

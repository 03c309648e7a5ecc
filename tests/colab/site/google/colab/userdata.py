"""``google.colab.userdata``: no secret is stored."""


class SecretNotFoundError(Exception):
    pass


def get(key):
    raise SecretNotFoundError(f"Secret {key} does not exist.")

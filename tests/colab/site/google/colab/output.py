"""``google.colab.output``."""


def clear(wait=False, output_tags=()):
    pass


def enable_custom_widget_manager(version=None):
    pass


def disable_custom_widget_manager():
    pass

"""How moto is patched: it has no hooks, so methods and attributes of its classes are replaced."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any


def replace(owner: type, name: str, value: object) -> None:
    """Set an attribute of a class."""
    setattr(owner, name, value)


def before(owner: type, name: str, check: Callable[[Any, Mapping[str, Any]], None]) -> None:
    """Call `check` before a method, with the object and with the method's arguments by name; it may raise."""
    original = getattr(owner, name)
    signature = inspect.signature(original)

    @functools.wraps(original)
    def both(self: Any, *args: Any, **kwargs: Any) -> Any:
        check(self, signature.bind(self, *args, **kwargs).arguments)
        return original(self, *args, **kwargs)

    replace(owner, name, both)


def after(owner: type, name: str, then: Callable[[Any, Mapping[str, Any]], None]) -> None:
    """Call `then` after a method, with the object and with the method's arguments by name."""
    original = getattr(owner, name)
    signature = inspect.signature(original)

    @functools.wraps(original)
    def both(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        then(self, signature.bind(self, *args, **kwargs).arguments)
        return result

    replace(owner, name, both)

"""``resolve_flow``: from ``module:attribute``, ``file.py:attribute`` or a flow file to an orchestrator.

``referenced`` is the part of it that knows nothing of flows.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction, signature
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from rxorch.config import APIOrchestrationConfig
from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiConfigurationError
from rxorch.flow import Flow
from rxorch.flowfile.loading import load_flow
from rxorch.orchestrator import APIOrchestrator

__all__ = ["guarded", "referenced", "resolve_flow", "resolve_flows"]

_FLOW_FILES: Final = (".yaml", ".yml", ".json")
_PYTHON: Final = "'module:attribute', 'file.py:attribute'"
_RUNNABLE: Final = (APIOrchestrator, APIOrchestrationConfig, Flow, APIEndpoint)


def resolve_flow(reference: str) -> APIOrchestrator:
    """The orchestrator that a reference leads to.

    Args:
        reference: `package.module:attribute`, `file.py:attribute`, `file.py` with one flow in it, or a YAML
            file. The attribute is an `APIOrchestrator`, an `APIOrchestrationConfig`, a flow, an endpoint, or
            a function without arguments that returns one of these.

    Raises:
        ApiConfigurationError: It leads nowhere, or what it leads to cannot be run or fails; says which.
    """
    orchestrator: APIOrchestrator = _orchestrator(_found(reference), reference)
    return orchestrator


def resolve_flows(
    reference: str, also: tuple[type, ...] = (), journal: Callable[[], Any] | None = None
) -> dict[str, Any]:
    """The orchestrators that a reference leads to, by name.

    Args:
        reference: As for `resolve_flow`; the attribute may also be a mapping of names to what can be run, or
            a function that returns one. One flow has the name of its attribute, or of its file.
        also: Classes of what may stand in the place of a flow, and is left as it is.
        journal: Makes the journal with which a function of one argument, that makes a saga, is called. None:
            such a function is refused.

    Raises:
        ApiConfigurationError: As `resolve_flow`.
    """
    found = _made(_found(reference), reference, journal)
    if isinstance(found, Mapping):
        return {
            name: _orchestrator(each, f"{reference}[{name!r}]", also, journal) for name, each in found.items()
        }
    _, colon, attribute = reference.rpartition(":")
    name = attribute.rpartition(".")[2] if colon else Path(reference).stem
    return {name: _orchestrator(found, reference, also, journal)}


def _found(reference: str) -> Any:
    if isinstance(reference, str) and reference.lower().endswith(_FLOW_FILES):
        if not Path(reference).is_file():
            raise ApiConfigurationError(f"there is no file {reference!r}")
        return APIOrchestrator(load_flow(reference))
    place, attribute = _parts(reference)
    module = _module(place, reference)
    return _only(module, reference) if attribute is None else _attribute(module, attribute, reference)


def referenced(reference: str, kinds: tuple[type, ...], noun: str) -> Any:
    """What a reference to Python leads to.

    Args:
        reference: `package.module:attribute`, `file.py:attribute`, or `file.py` with one such thing in it.
        kinds: What is looked for where no attribute is named, and told where one is not there.
        noun: What it is called in messages: "saga".

    Raises:
        ApiConfigurationError: It leads nowhere, or its module cannot be loaded; says which.
    """
    place, attribute = _parts(reference, noun, "'module:attribute' or 'file.py:attribute'")
    module = _module(place, reference)
    if attribute is not None:
        return _attribute(module, attribute, reference, kinds)
    names = _candidates(module, kinds)
    if len(names) == 1:
        return getattr(module, names[0])
    if not names:
        raise ApiConfigurationError(f"{reference!r}: there is no {noun} in it; give '{reference}:NAME'")
    raise ApiConfigurationError(
        f"{reference!r}: which one? There are {', '.join(map(repr, names))}; give '{reference}:{names[0]}'"
    )


def _module(place: str, reference: str) -> ModuleType:
    return _from_file(Path(place)) if place.endswith(".py") else _imported(place, reference)


def _parts(
    reference: str, noun: str = "flow", forms: str = f"{_PYTHON} or a YAML file"
) -> tuple[str, str | None]:
    if not isinstance(reference, str) or not reference.strip():
        raise ApiConfigurationError(f"a {noun} is named by {forms}")
    place, colon, attribute = reference.rpartition(":")
    if colon and place.lower().endswith(_FLOW_FILES):
        raise ApiConfigurationError(f"{reference!r}: a flow file is one flow; leave out ':{attribute}'")
    if not colon or not all(part.isidentifier() for part in attribute.split(".")):
        place, attribute = reference, ""
    is_module = attribute and all(part.isidentifier() for part in place.split("."))
    if not place.endswith(".py") and not is_module:
        raise ApiConfigurationError(f"{reference!r} names no {noun}: give {forms}")
    return place, attribute or None


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ApiConfigurationError(f"there is no file {str(path)!r}")
    name = f"rxorch_flow_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look there
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # as `python file.py` does
    load = spec.loader.exec_module
    try:
        guarded(lambda: load(module), str(path))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _imported(name: str, reference: str) -> ModuleType:
    try:
        return guarded(lambda: importlib.import_module(name), name)  # type: ignore[no-any-return]
    except _Missing as error:
        missing = error.module
        if missing is not None and (name == missing or name.startswith(f"{missing}.")):
            raise ApiConfigurationError(f"{reference!r}: there is no module {name!r}") from None
        raise


class _Missing(ApiConfigurationError):
    """A module is not there: the one that was asked for, or one that it needs."""

    def __init__(self, message: str, module: str | None) -> None:
        super().__init__(message)
        self.module = module


def guarded(function: Callable[[], Any], place: str) -> Any:
    """Runs code of the user's; what it raises is told with its own place.

    Raises:
        ApiConfigurationError: It raised something, or left the program.
    """
    try:
        return function()
    except ModuleNotFoundError as error:
        raise _Missing(f"{place}: it needs {error.name!r}, which is not installed", error.name) from error
    except SystemExit as error:
        raise ApiConfigurationError(f"{place} cannot be loaded: it leaves the program") from error
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = (
            f"{error.filename}:{error.lineno}"
            if isinstance(error, SyntaxError)
            else f"{frame.filename}:{frame.lineno}"
        )
        message = (
            error.message if isinstance(error, ApiConfigurationError) else f"{type(error).__name__}: {error}"
        )
        raise ApiConfigurationError(f"{place} cannot be loaded: {message} ({where})") from error


def _attribute(
    module: ModuleType, attribute: str, reference: str, kinds: tuple[type, ...] = _RUNNABLE
) -> Any:
    found: Any = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise ApiConfigurationError(f"{reference!r}: there is no {attribute!r}{_there(module, kinds)}")
        found = getattr(found, name)
    return found


def _candidates(module: ModuleType, kinds: tuple[type, ...] = _RUNNABLE) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, kinds)]


def _there(module: ModuleType, kinds: tuple[type, ...] = _RUNNABLE) -> str:
    names = _candidates(module, kinds)
    return f"; there are {', '.join(map(repr, names))}" if names else ""


def _only(module: ModuleType, reference: str) -> Any:
    names = _candidates(module)
    for wanted in (APIOrchestrator, APIOrchestrationConfig, Flow):
        found = [name for name in names if isinstance(getattr(module, name), wanted)]
        if len(found) == 1:
            return getattr(module, found[0])
        if found:
            raise ApiConfigurationError(
                f"{reference!r}: which one? There are {', '.join(map(repr, found))}; "
                f"give '{reference}:{found[0]}'"
            )
    if len(names) == 1:
        return getattr(module, names[0])
    raise ApiConfigurationError(f"{reference!r}: there is no flow in it{_there(module)}")


def _check_bare(function: Callable[..., Any], reference: str) -> None:
    """Refuses what cannot be called without arguments, or would give a coroutine."""
    if iscoroutinefunction(function):
        raise ApiConfigurationError(f"{reference!r} is an async function; what makes a flow is a plain one")
    try:
        signature(function).bind()
    except TypeError:
        raise ApiConfigurationError(
            f"{reference!r} is a function with arguments; what makes a flow has none (and what makes a saga "
            "takes a journal, which --journal names)"
        ) from None
    except ValueError:  # built in, without a signature: calling it will tell
        pass


def _made(found: Any, reference: str, journal: Callable[[], Any] | None = None) -> Any:
    if callable(found) and not isinstance(found, _RUNNABLE):
        if journal is not None and _takes_one(found):
            made = journal()
            return guarded(lambda: found(made), reference)
        _check_bare(found, reference)
        return guarded(found, reference)
    return found


def _takes_one(function: Callable[..., Any]) -> bool:
    """Whether it has to be called with just one argument."""
    if iscoroutinefunction(function):
        return False
    try:
        signature(function).bind(None)
    except (TypeError, ValueError):
        return False
    try:
        signature(function).bind()
    except TypeError:
        return True
    return False


def _orchestrator(
    found: Any,
    reference: str,
    also: tuple[type, ...] = (),
    journal: Callable[[], Any] | None = None,
) -> Any:
    found = found if isinstance(found, also) else _made(found, reference, journal)
    if isinstance(found, (APIOrchestrator, *also)):
        return found
    if isinstance(found, APIOrchestrationConfig | Flow | APIEndpoint):
        return guarded(lambda: APIOrchestrator(found), reference)
    raise ApiConfigurationError(
        f"{reference!r} is a {type(found).__name__}; what can be run is an orchestrator, a configuration, "
        f"a flow or an endpoint{''.join(f', or a {each.__name__}' for each in also)}"
    )

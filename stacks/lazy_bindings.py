"""Load only the provider bindings that are named in an import.

`cdktf_cdktf_provider_aws/__init__.py` imports all of its 1,500 submodules
(https://github.com/hashicorp/terraform-cdk/issues/3753), and the JavaScript library behind it requires all of its own:
together about a minute without bytecode, a quarter of one with it. Neither needs to. In Python the submodules import
each other by name, so an empty module with the package's search path stands in for it; in Node, lazy_bindings.js makes
the index wait.
"""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

BINDINGS = "cdktf_cdktf_provider_aws"
NODE_HOOK = Path(__file__).with_suffix(".js")


def install() -> None:
    """Put the stand-in into `sys.modules`, and the hook into the environment of the Node process behind the bindings.

    Nothing happens if the package was imported before.
    """
    if BINDINGS in sys.modules:
        return
    found = importlib.util.find_spec(BINDINGS)
    if found is None or found.submodule_search_locations is None:
        return  # not installed: the import that follows says so better than we could
    spec = importlib.machinery.ModuleSpec(BINDINGS, loader=None, origin=found.origin, is_package=True)
    spec.submodule_search_locations = list(found.submodule_search_locations)
    sys.modules[BINDINGS] = importlib.util.module_from_spec(spec)
    hook = '--require "{}"'.format(str(NODE_HOOK).replace("\\", "\\\\").replace('"', '\\"'))
    options = os.environ.get("NODE_OPTIONS", "")
    if hook not in options:
        os.environ["NODE_OPTIONS"] = f"{options} {hook}".strip()
    # jsii warns about versions of Node that it works with; it wants them listed.
    os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "20,22,24"
    os.environ.setdefault("JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION", "1")

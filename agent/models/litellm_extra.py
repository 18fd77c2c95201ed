"""litellm, imported when a model is first asked: it takes seconds, and most programs never need it."""

import functools
import os
from typing import Any

from cloche.runtime.errors import ConfigurationError

__all__ = ["litellm"]


@functools.cache
def litellm() -> Any:
    """Return the module, set up to be quiet and to fetch nothing by itself. Raises ConfigurationError if missing."""
    # Otherwise it downloads its table of prices while it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        import litellm as module
    except ImportError as error:
        raise ConfigurationError("model", "LiteLLMModel needs litellm: pip install 'cloche[agent]'") from error
    module.suppress_debug_info = True
    module.drop_params = True
    return module

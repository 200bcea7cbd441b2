from interp_core.contribution import Importance, importance  # noqa

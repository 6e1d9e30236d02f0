"""Options of a single plain network, for tests that do not depend on the defaults."""

PLAIN = {
    "hidden_layer_sizes": (100,),
    "activation": "relu",
    "init": "auto",
    "parametrization": "standard",
    "n_members": 1,
    "calibrate": False,
    "learning_rate": "cosine",
    "learning_rate_init": 0.007,
    "batch_size": 100,
    "beta_2": 0.999,
    "weight_decay": 0.0,
    "max_iter": 100,
    "early_stopping": False,
    "numeric_embedding": None,
}


def plain(cls, **options):
    """An estimator of the class with the plain options, except these."""
    own = {"clip_target": False} if hasattr(cls, "clip_target") else {}
    return cls(**{**PLAIN, **own, **options})

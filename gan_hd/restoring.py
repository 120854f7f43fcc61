"""Parts of a training, read from its checkpoints by those who do not train: export, evaluation, a new start.

In: the folder of the checkpoints, and variables by the names that checkpoints.py gives them. Out: the same, restored.
"""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

#: What :func:`restore_parts` says of an empty folder.
NO_CHECKPOINT = "there is none"


def restore_parts(folder: Path, **parts: object) -> str | None:
    """Restores `parts` of a training from the newest checkpoint in `folder` that can be read, and leaves the rest.

    Returns None, or in one line why it could not; NO_CHECKPOINT where the folder has none.
    """
    checkpoint = tf.train.Checkpoint(**parts)
    state = tf.train.get_checkpoint_state(str(folder))
    reason = NO_CHECKPOINT
    for prefix in reversed(state.all_model_checkpoint_paths if state else []):
        try:
            checkpoint.restore(prefix).assert_existing_objects_matched().expect_partial()
            return None
        except (tf.errors.OpError, AssertionError, IndexError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
    return reason

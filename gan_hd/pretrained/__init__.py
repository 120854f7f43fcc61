"""The generator that ships: a SavedModel and its model card, see vangogh/README.md."""

from pathlib import Path

#: What translate.py and the servers take without --model.
VANGOGH = Path(__file__).parent / "vangogh"
